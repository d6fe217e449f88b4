"""Logging in over SOAP: what each kind of client sends and reads, and what is refused."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.bus.bus import EventBus
from platform_events.service.access import OpenAccess, tenant_id
from platform_events.service.http.application import make_application
from platform_events.service.http.soap import _NoLogin, _read_credentials, soap_routes
from tests.service.serving import served

URL = "https://localhost:7444"
PYTHON = (
    "<soapenv:Envelope xmlns:soapenv='http://schemas.xmlsoap.org/soap/envelope/' "
    "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' "
    "xmlns:urn='urn:partner.soap.sforce.com'><soapenv:Body><urn:login>"
    "<urn:username><![CDATA[{name}]]></urn:username>"
    "<urn:password><![CDATA[{password}]]></urn:password>"
    "</urn:login></soapenv:Body></soapenv:Envelope>"
)
"""As pysfpubsub and aiosfpubsub write it."""
JAVASCRIPT = (
    '<se:Envelope xmlns:se="http://schemas.xmlsoap.org/soap/envelope/"><se:Header/><se:Body>'
    '<login xmlns="urn:partner.soap.sforce.com"><username>{name}</username>'
    "<password>{password}</password></login></se:Body></se:Envelope>"
)
PLAIN = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\ufffe\uffff", min_codepoint=32),
    min_size=1,
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Where logins are served, as `host:port`."""
    with EventBus(bootstrap_servers="127.0.0.1:1") as bus:
        application = make_application(bus, soap_routes(OpenAccess("shop"), URL))
        with served(application) as url:
            yield url.removeprefix("http://")


def post(server: str, body: str | bytes, path: str = "/services/Soap/u/57.0/") -> tuple[int, str]:
    connection = http.client.HTTPConnection(server, timeout=60)
    data = body.encode() if isinstance(body, str) else body
    connection.request("POST", path, data, {"content-type": "text/xml", "SOAPAction": "Login"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@pytest.mark.parametrize("form", [PYTHON, JAVASCRIPT])
@pytest.mark.parametrize("path", ["/services/Soap/u/57.0/", "/services/Soap/u/43.0"])
def test_any_name_and_password_are_taken(server: str, form: str, path: str) -> None:
    status, text = post(server, form.format(name="me@example.com", password="any"), path)
    assert status == 200
    version = path.split("/")[4]
    # By name, as aiosfpubsub does.
    result = ElementTree.fromstring(text).find(".//{*}result")
    assert result is not None
    assert (result.findtext("{*}serverUrl") or "").startswith(
        f"{URL}/services/Soap/u/{version}/00D"
    )
    assert result.findtext("{*}userInfo/{*}userName") == "me@example.com"
    # By place, as pysfpubsub does.
    by_place = ElementTree.fromstring(text)[0][0][0]
    session, organization = by_place[4].text, by_place[6][8].text
    assert session is not None
    assert organization == tenant_id("shop") == session.partition("!")[0]
    assert (by_place[3].text or "").startswith(f"{URL}/")
    # By patterns, as npm's client does.
    for name in ("serverUrl", "sessionId", "userId", "organizationId"):
        assert re.search(rf"<{name}>([^<]+)</{name}>", text)


def test_a_name_with_markup_comes_back_as_it_is(server: str) -> None:
    _, text = post(server, PYTHON.format(name="<&>\"'ä", password="&<"))
    found = ElementTree.fromstring(text).findtext(".//{*}userName")
    assert found == "<&>\"'ä"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("", "not valid XML"),
        ("<a>", "not valid XML"),
        (JAVASCRIPT.format(name="me", password="a&b"), "not valid XML"),
        ("<a/>", "no login with username and password"),
        (PYTHON.format(name="me", password=""), "no login with username and password"),
        (PYTHON.format(name="", password="x"), "no login with username and password"),
        (f"<!DOCTYPE a [<!ENTITY e 'x'>]>{JAVASCRIPT}", "document type"),
        (PYTHON.format(name="x" * 70_000, password="x"), "at most 65,536 bytes"),
        (JAVASCRIPT.replace("urn:partner", "urn:other"), "no login with username and password"),
        (b"\xff\xfe", "not valid XML"),
        (b'<?xml version="1.0" encoding="shift_jis"?><a/>', "not valid XML"),
        (b'<?xml version="1.0" encoding="none"?><a/>', "not valid XML"),
    ],
)
def test_what_is_no_login_is_a_fault(server: str, body: str | bytes, says: str) -> None:
    status, text = post(server, body)
    assert status == 500
    fault = ElementTree.fromstring(text).find(".//{http://schemas.xmlsoap.org/soap/envelope/}Fault")
    assert fault is not None
    assert fault.findtext("faultcode") == "soapenv:Client"
    assert says in (fault.findtext("faultstring") or "")


def test_one_who_is_refused_is_told_so() -> None:
    class Closed(OpenAccess):
        async def log_in(self, name: str, password: str, address: str) -> None:
            return None

    with EventBus(bootstrap_servers="127.0.0.1:1") as bus:
        application = make_application(bus, soap_routes(Closed("shop"), URL))
        with served(application) as url:
            status, text = post(
                url.removeprefix("http://"), PYTHON.format(name="me", password="any")
            )
    assert status == 500
    assert "INVALID_LOGIN" in text


@pytest.mark.parametrize(
    "path", ["/services/Soap/u/", "/services/Soap/u/x/", "/services/Soap/c/57.0"]
)
def test_other_paths_are_not_found(server: str, path: str) -> None:
    assert post(server, PYTHON.format(name="me", password="any"), path)[0] == 404


@given(PLAIN, PLAIN)
def test_any_text_is_read_as_it_was_meant(name: str, password: str) -> None:
    request = JAVASCRIPT.format(name=escape(name), password=escape(password))
    assert _read_credentials(request.encode()) == (name, password)


@given(st.binary())
def test_nonsense_is_refused_in_one_way(data: bytes) -> None:
    with pytest.raises(_NoLogin):
        _read_credentials(data)
