"""Logging in with a name and a password, as clients of Salesforce do it over SOAP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.parsers import expat
from xml.sax.saxutils import escape

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from platform_events.service.access import TooManyLoginsError, principal_id, tenant_id
from platform_events.service.http.callers import TooLargeError, address_of, read_small

if TYPE_CHECKING:
    from starlette.requests import Request

    from platform_events.service.access import Access, Login

_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]")
_LOGIN = "urn:partner.soap.sforce.com login"
_SHORT_ID = 15
"""Characters of an organization's ID in addresses, which leave out its check digits."""
_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" '
    'xmlns="{namespace}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    "<soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
)


class _NoLogin(Exception):  # noqa: N818
    """A request cannot be read; the text says why."""


def soap_routes(access: Access, url: str) -> list[Route]:
    """Return the routes that log in.

    Args:
        access: knows who may.
        url: what clients are told to go on with, such as `https://localhost:7444`.
    """

    async def answer_login(request: Request) -> Response:
        version = request.path_params["version"]
        if not _VERSION.fullmatch(version):
            raise HTTPException(404)
        try:
            name, password = _read_credentials(await read_small(request))
        except (_NoLogin, TooLargeError) as error:
            return _fault("soapenv:Client", str(error))
        try:
            login = await access.log_in(name, password, address_of(request))
        except TooManyLoginsError:
            return _fault("LOGIN_RATE_EXCEEDED", "there are too many attempts; try again later")
        if login is None:
            return _fault("INVALID_LOGIN", "there is nobody with this name and password")
        return _answer(_result(login, f"{url}/services/Soap", version))

    paths = ("/services/Soap/u/{version}", "/services/Soap/u/{version}/")
    return [Route(path, answer_login, methods=["POST"]) for path in paths]


def _read_credentials(data: bytes) -> tuple[str, str]:
    """Return name and password of a request.

    Raises:
        _NoLogin: it is not XML, has a document type, or lacks one of them.
    """
    # Between namespace and name is a blank.
    parser = expat.ParserCreate(namespace_separator=" ")
    reader = _LoginReader(parser)
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        # A secret with & or < that a client has not escaped, most of all; or an unknown encoding.
        raise _NoLogin(f"the request is not valid XML: {error}") from None
    name, password = (reader.texts.get(field, "") for field in ("username", "password"))
    if not name or not password:
        raise _NoLogin("the request has no login with username and password")
    return name, password


class _LoginReader:
    """Takes what is in a login while the parser reads.

    No document type is let in, which is where entities that grow come from.
    """

    def __init__(self, parser: expat.XMLParserType) -> None:
        self.texts: dict[str, str] = {}
        """Of the elements in the login, by their names without namespace."""
        self._open: list[str] = []
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_doctype
        parser.StartElementHandler = self._start
        parser.CharacterDataHandler = self._add_text
        parser.EndElementHandler = self._end

    def _refuse_doctype(self, *_: object) -> None:
        raise _NoLogin("a document type (DTD) is refused")

    def _start(self, name: str, _: dict[str, str]) -> None:
        self._open.append(name)

    def _add_text(self, text: str) -> None:
        if len(self._open) > 1 and self._open[-2] == _LOGIN:
            field = self._open[-1].rpartition(" ")[2]
            self.texts[field] = self.texts.get(field, "") + text

    def _end(self, _: str) -> None:
        self._open.pop()


def _result(login: Login, base: str, version: str) -> str:
    """Return the element `loginResponse`.

    The order counts: pysfpubsub takes the fourth and the fifth of the result, and the ninth of
    `userInfo`.
    """
    user, organization = login.session.principal, tenant_id(login.session.tenant)
    end = f"{version}/{organization[:_SHORT_ID]}"
    about_user = {
        "accessibilityMode": "false",
        "chatterExternal": "false",
        "currencySymbol": "$",
        "orgAttachmentFileSizeLimit": "5242880",
        "orgDefaultCurrencyIsoCode": "USD",
        "orgDefaultCurrencyLocale": "en_US",
        "orgDisallowHtmlAttachments": "false",
        "orgHasPersonAccounts": "false",
        "organizationId": organization,
        "organizationMultiCurrency": "false",
        "organizationName": login.session.tenant,
        "profileId": "",
        "roleId": "",
        "sessionSecondsValid": str(login.valid_for),
        "userDefaultCurrencyIsoCode": "",
        "userEmail": "",
        "userFullName": user,
        "userId": principal_id(user),
        "userLanguage": "en_US",
        "userLocale": "en_US",
        "userName": user,
        "userTimeZone": "Etc/UTC",
        "userType": "Standard",
        "userUiSkin": "Theme3",
    }
    result = {
        "metadataServerUrl": f"{base}/m/{end}",
        "passwordExpired": "false",
        "sandbox": "false",
        "serverUrl": f"{base}/u/{end}",
        "sessionId": login.token,
        "userId": principal_id(user),
    }
    told = _elements(result) + f"<userInfo>{_elements(about_user)}</userInfo>"
    return f"<loginResponse><result>{told}</result></loginResponse>"


def _elements(values: dict[str, str]) -> str:
    return "".join(
        f"<{name}>{escape(value)}</{name}>" if value else f'<{name} xsi:nil="true"/>'
        for name, value in values.items()
    )


def _answer(body: str) -> Response:
    text = _ENVELOPE.format(namespace="urn:partner.soap.sforce.com", body=body)
    return Response(text, media_type="text/xml")


def _fault(code: str, message: str) -> Response:
    """Return why nobody is logged in, with the status that SOAP has for it."""
    body = (
        f"<soapenv:Fault><faultcode xmlns=''>{code}</faultcode>"
        f"<faultstring xmlns=''>{code}: {escape(message)}</faultstring></soapenv:Fault>"
    )
    text = _ENVELOPE.format(namespace="urn:fault.partner.soap.sforce.com", body=body)
    return Response(text, 500, media_type="text/xml")
