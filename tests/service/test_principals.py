"""Principals: their credentials, their rights, and the file that lists them."""

from __future__ import annotations

import logging
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_events.errors import DefinitionsError, ServiceError, UsageError
from platform_events.service.credentials import PasswordHash, SecretDigest, make_secret
from platform_events.service.principals import Grant, Principal, read_principals
from platform_events.service.principals_file import (
    PrincipalsFile,
    add_principal,
    disable_principal,
    load_principals,
)
from tests.docs.pages import page
from tests.support import wait_until

FILE = Path("principals.yaml")
DIGEST = SecretDigest.of("a secret")
ONE = f"- name: billing\n  tenant: shop\n  secret_sha256: {DIGEST.text}\n"
CHEAP = f"$scrypt$ln=14,r=8,p=1${'A' * 22}${'A' * 43}"


def billing(*grants: Grant, name: str = "billing") -> Principal:
    return Principal(name, "shop", DIGEST, grants)


class TestCredentials:
    @pytest.mark.parametrize("kind", [SecretDigest, PasswordHash])
    def test_only_what_it_was_made_of_matches(
        self, kind: type[SecretDigest | PasswordHash]
    ) -> None:
        kept = kind.read(kind.of("pässword").text)
        assert kept.matches("pässword")
        for other in ("", "passwordd", "pässword ", "\ud800"):
            assert not kept.matches(other)

    def test_one_password_is_never_kept_as_the_same_text(self) -> None:
        assert PasswordHash.of("x").text != PasswordHash.of("x").text

    def test_secrets_need_no_escaping(self) -> None:
        secrets = {make_secret() for _ in range(100)}
        assert len(secrets) == 100
        for secret in secrets:
            assert secret.startswith("pe_")
            assert len(secret) > 40
            assert secret.replace("_", "").replace("-", "").isalnum()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "x",
            CHEAP.replace("ln=14", "ln=13"),
            CHEAP.replace("ln=14", "ln=18"),
            CHEAP.replace("r=8", "r=17"),
            CHEAP.replace("p=1", "p=0"),
            CHEAP.replace("A" * 22, "AAAA"),
            CHEAP.replace("A" * 22, "A" * 21),
            CHEAP.replace("A" * 43, "A" * 10),
            f"{CHEAP}\n",
        ],
    )
    def test_a_hash_that_is_none_or_too_cheap_or_dear_is_refused(self, text: str) -> None:
        assert PasswordHash.read(CHEAP).text == CHEAP
        with pytest.raises(ValueError, match="of the form"):
            PasswordHash.read(text)


class TestRights:
    @pytest.mark.parametrize(
        ("pattern", "stream", "fits"),
        [
            ("*", "Order_Placed__e", True),
            ("Order_*", "Order_Placed__e", True),
            ("Order_*", "order_Placed__e", False),
            ("Order_*", "My_Order_Placed__e", False),
            ("Order_Placed__e", "Order_Placed__e", True),
            ("Order_Placed__e", "Order_Placed__ee", False),
            ("Order_?__e", "Order_A__e", True),
        ],
    )
    def test_they_are_for_the_streams_that_a_pattern_fits(
        self, pattern: str, stream: str, fits: bool
    ) -> None:
        principal = billing(Grant(frozenset({"publish"}), pattern))
        assert principal.may("publish", stream) is fits
        assert not principal.may("subscribe", stream)

    def test_each_grant_counts(self) -> None:
        principal = billing(
            Grant(frozenset({"publish"}), "A_*"), Grant(frozenset({"subscribe"}), "B_*")
        )
        assert principal.may("publish", "A_1__e")
        assert principal.may("subscribe", "B_1__e")
        assert not principal.may("publish", "B_1__e")
        assert not billing().may("publish", "A_1__e")


class TestReading:
    def test_a_file_says_who_may_do_what(self) -> None:
        text = (
            f"# ours\n{ONE}  rights:\n    - {{allow: [publish, subscribe], streams: 'Order_*'}}\n"
            "    - allow: [manage]\n      streams: '*'\n  x-team: sales\n"
            f"- {{name: me@example.com, tenant: other-1, password_scrypt: '{CHEAP}',\n"
            "  disabled: true}\n"
        )
        principals = read_principals(FILE, text.encode())
        assert list(principals) == ["billing", "me@example.com"]
        assert principals["billing"] == billing(
            Grant(frozenset({"publish", "subscribe"}), "Order_*"), Grant(frozenset({"manage"}), "*")
        )
        assert principals["me@example.com"].disabled
        assert principals["me@example.com"].credential.is_slow

    def test_the_documentation_s_file_is_one(self) -> None:
        (block,) = [b for b in page("docs/access.md").blocks if b.language == "yaml"]
        principals = read_principals(FILE, block.text.encode())
        assert principals["billing"].may("publish", "Invoice_Sent__e")
        assert not principals["billing"].may("publish", "Order_Placed__e")
        assert principals["me@example.com"].disabled

    @pytest.mark.parametrize("text", ["", "\n", "# nobody yet\n", "[]"])
    def test_there_may_be_nobody(self, text: str) -> None:
        assert read_principals(FILE, text.encode()) == {}

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("a: 1", ":1:1: a file of principals is a list"),
            ("- 1", ":1:3: [0]: a principal is a mapping with name, not the number 1"),
            (
                f"{ONE}  rigths: []\n",
                ":4:3: [0].rigths: unknown key 'rigths'; did you mean rights?",
            ),
            (f"{ONE}  tenant: x\n", ":4:3: [0].tenant: the key is repeated"),
            (f"{ONE}{ONE}", ":4:9: [1].name: billing is a principal already, on line 1"),
            (ONE.replace("billing", "a b"), "the text 'a b' cannot name a principal"),
            (ONE.replace("billing", "7"), "cannot name a principal"),
            (ONE.replace("shop", "Shop"), "the text 'Shop' cannot name a tenant"),
            (ONE.replace(DIGEST.text, "pe_geheim"), "must be 64 hexadecimal digits"),
            (ONE.replace("secret_sha256", "secret"), "did you mean secret_sha256?"),
            ("- name: a\n  tenant: b\n", "secret_sha256 or password_scrypt is missing"),
            (f"{ONE}  password_scrypt: {CHEAP}\n", "not both"),
            (f"{ONE}  disabled: 1\n", "must be true or false"),
            (f"{ONE}  rights: {{}}\n", "must be a list"),
            (f"{ONE}  rights: [x]\n", "a right is a mapping"),
            (f"{ONE}  rights: [{{allow: [publish]}}]\n", "streams is missing"),
            (f"{ONE}  rights: [{{allow: [publsh], streams: A}}]\n", "did you mean publish?"),
            (f"{ONE}  rights: [{{allow: publish, streams: A}}]\n", "must be a list"),
            (f"{ONE}  rights: [{{allow: [publish], streams: /event/A}}]\n", "leave /event/ out"),
            ("- *a", "no anchor"),
            ("- [", "not valid YAML"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, text: str, says: str) -> None:
        with pytest.raises(DefinitionsError) as caught:
            read_principals(FILE, text.encode())
        said = "\n".join(map(str, caught.value.problems))
        assert says in said
        assert "geheim" not in said

    @given(st.binary(max_size=200))
    def test_nonsense_is_refused_in_one_way(self, data: bytes) -> None:
        with suppress(DefinitionsError):
            read_principals(FILE, data)


class TestChanging:
    def test_what_was_added_is_read(self, tmp_path: Path) -> None:
        file = tmp_path / "principals.yaml"
        grant = Grant(frozenset({"publish", "manage"}), "Order_*")
        added = [
            billing(grant),
            Principal("me@example.com", "shop", PasswordHash.read(CHEAP)),
            billing(name="007"),
        ]
        for principal in added:
            add_principal(file, principal)
        assert list(load_principals(file).values()) == added
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert [path.name for path in tmp_path.iterdir()] == [file.name]
        with pytest.raises(UsageError, match="there is a principal billing already"):
            add_principal(file, billing())

    def test_what_others_wrote_stays(self, tmp_path: Path) -> None:
        file = tmp_path / "principals.yaml"
        text = f"# Ask Ann.\n{ONE}  # Only until May.\n  rights: []\n"
        file.write_text(text)
        add_principal(file, billing(name="other"))
        assert file.read_text().startswith(text)
        disable_principal(file, "billing")
        assert "# Only until May." in file.read_text()
        assert load_principals(file)["billing"].disabled
        assert not load_principals(file)["other"].disabled

    def test_comments_stay_where_nobody_was_yet(self, tmp_path: Path) -> None:
        file = tmp_path / "principals.yaml"
        file.write_text("# Ask Ann.")
        add_principal(file, billing())
        assert file.read_text() == f"# Ask Ann.\n{ONE}"

    def test_a_link_leads_to_what_is_changed(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        link = tmp_path / "principals.yaml"
        link.symlink_to(tmp_path / "real" / "p.yaml")
        add_principal(link, billing())
        assert link.is_symlink()
        assert "billing" in load_principals(tmp_path / "real" / "p.yaml")

    def test_those_who_add_at_once_lose_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "principals.yaml"
        threads = [
            threading.Thread(target=add_principal, args=(file, billing(name=f"p{number}")))
            for number in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(load_principals(file)) == 12

    def test_a_wrong_file_is_left_as_it_is(self, tmp_path: Path) -> None:
        file = tmp_path / "principals.yaml"
        file.write_text("a: 1\n")
        with pytest.raises(DefinitionsError):
            add_principal(file, billing())
        assert file.read_text() == "a: 1\n"

    def test_what_is_not_there_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ServiceError, match="cannot be read"):
            disable_principal(tmp_path / "p.yaml", "billing")
        with pytest.raises(ServiceError, match="cannot be opened"):
            add_principal(tmp_path / "no" / "p.yaml", billing())
        add_principal(tmp_path / "p.yaml", billing())
        with pytest.raises(UsageError, match="did you mean billing"):
            disable_principal(tmp_path / "p.yaml", "biling")


class TestFollowing:
    def test_a_new_version_holds(self, tmp_path: Path) -> None:
        file = tmp_path / "principals.yaml"
        file.write_text(ONE)
        with PrincipalsFile(file, every=0.01) as followed:
            assert not followed.principals["billing"].disabled
            disable_principal(file, "billing")
            wait_until(lambda: followed.principals["billing"].disabled)

    def test_a_wrong_version_is_logged_once_and_the_last_good_one_holds(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = tmp_path / "principals.yaml"
        file.write_text(ONE)
        followed = PrincipalsFile(file)
        with caplog.at_level(logging.INFO, logger="platform_events.service"):
            for text in ("- 1\n", "- 1\n", f"{ONE}  disabled: true\n", None, None, ONE):
                if text is None:
                    file.unlink(missing_ok=True)
                else:
                    file.write_text(text)
                before = followed.principals
                followed.look()
                if text in ("- 1\n", None):
                    assert followed.principals is before
        assert not followed.principals["billing"].disabled
        errors = [one.message for one in caplog.records if one.levelno == logging.ERROR]
        assert len(errors) == 2
        assert f"{file}:1:3" in errors[0]
        assert "cannot be read" in errors[1]
        assert DIGEST.text not in caplog.text

    def test_a_file_that_is_being_written_ends_nobody(self, tmp_path: Path) -> None:
        file = tmp_path / "principals.yaml"
        file.write_text(ONE)
        followed = PrincipalsFile(file)
        file.write_text("")
        followed.look()
        assert followed.principals
        file.write_text("[]\n")
        followed.look()
        assert not followed.principals

    def test_one_that_is_wrong_from_the_start_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ServiceError):
            PrincipalsFile(tmp_path / "no.yaml")
        (tmp_path / "p.yaml").write_text("- 1")
        with pytest.raises(DefinitionsError):
            PrincipalsFile(tmp_path / "p.yaml")
