"""Single sign-on in a real browser: from our log-in page to a provider of another site, and back to the console, by SAML and by OpenID Connect;
and by name and password of a directory."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import oidc_provider_mock
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import product as products
from tests.browser.product import Product
from tests.browser.visitor import add_passkey, keep_passkeys, log_in, violations
from tests.servers import short_folder
from tests.sso.ldap_directory import BASE, READER, READS, slapd
from tests.sso.saml_provider import Saying, asked, form, metadata, with_signed_assertion

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900), pytest.mark.xdist_group("browser")]

SHOTS = os.environ.get("OMX_TEST_SCREENSHOTS", "")
OWN_DOMAIN = """
from django.utils import timezone
from ollamamax.identity.models import Tenant
from ollamamax.identity.scope import every_tenant
from ollamamax.sso.models import EmailDomain
with every_tenant():
    tenant = Tenant.objects.first()
    EmailDomain.objects.create(tenant=tenant, domain="acme.example", token="t", verified_at=timezone.now())
"""


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    """One that may ask providers of this machine."""
    folder = short_folder("browser")
    started = products.start(folder, OLLAMAMAX_OUTBOUND_NETWORKS="127.0.0.0/8,::1/128", OLLAMAMAX_OUTBOUND_HTTP="1")
    started.manage("shell", "-c", OWN_DOMAIN)
    yield started
    started.end()
    shutil.rmtree(folder, ignore_errors=True)


class _SamlPages(BaseHTTPRequestHandler):
    """The provider's pages: whoever comes is logged in, and presses a button that posts the answer to us."""

    def do_GET(self) -> None:
        if not self.path.startswith(("/sso?", "/slo?")):
            self.send_error(404)
            return
        message, _ = asked(self.path)
        if self.path.startswith("/slo"):
            issuer = message.find("{*}Issuer").text
            self.send_response(302)
            self.send_header("Location", f"{issuer.removesuffix('/metadata')}/log-out?SAMLResponse=done")
            self.end_headers()
            return
        acs = message.get("AssertionConsumerServiceURL")
        said = Saying(acs, message.find("{*}Issuer").text, message.get("ID"))
        body = (
            f'<form method="post" action="{acs}"><input type="hidden" name="SAMLResponse" '
            f'value="{form(with_signed_assertion(said.response()))}"><button>Continue</button></form>'
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@pytest.fixture
def saml_pages() -> Iterator[str]:
    """Where a provider answers: under another name than ours, so that its form is one of another site."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _SamlPages)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def admin(browser: Browser, product: Product) -> Iterator[Page]:
    context = browser.new_context(base_url=product.url)
    page = context.new_page()
    log_in(page, product)
    page.goto("/single-sign-on")
    page.get_by_role("button", name="Add an identity provider").click()
    yield page
    context.close()


@pytest.fixture
def person(browser: Browser, product: Product) -> Iterator[Page]:
    context = browser.new_context(base_url=product.url)
    yield context.new_page()
    context.close()


def save(admin: Page, name: str) -> None:
    dialog = admin.get_by_role("dialog")
    dialog.get_by_label("Default role").click()
    admin.get_by_role("option", name="viewer").click()
    dialog.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("heading", name=name)).to_be_visible()


def set_off(admin: Page, person: Page, name: str) -> None:
    """From the organisation's own log-in page."""
    person.goto(admin.evaluate("fetch('/api/v1/sso/policy').then(a => a.json()).then(p => p.log_in_url)"))
    person.get_by_role("link", name=name).click()


def leave(person: Page, email: str) -> None:
    expect(person.get_by_role("navigation").first).to_be_visible()
    assert person.evaluate("fetch('/api/v1/session').then(a => a.json()).then(s => s.user.email)") == email
    person.get_by_role("button", name=email).click()
    person.get_by_role("menuitem", name="Log out").click()


def test_by_saml(admin: Page, person: Page, saml_pages: str) -> None:
    dialog = admin.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Office")
    dialog.get_by_role("combobox", name="Protocol").click()
    admin.get_by_role("option", name="SAML 2.0").click()
    dialog.get_by_label("Or its metadata").fill(metadata(origin=saml_pages))
    save(admin, "Office")
    expect(admin.get_by_text("1 certificate")).to_be_visible()

    set_off(admin, person, "Office")
    person.get_by_role("button", name="Continue").click()
    leave(person, "ada@acme.example")
    expect(person.get_by_role("button", name="Log in", exact=True)).to_be_visible()


def test_by_openid_connect(admin: Page, person: Page) -> None:
    user = oidc_provider_mock.User(sub="bob", claims={"email": "bob@acme.example", "name": "Bob"})
    # Its pages ask for a style sheet of another site, which no test does.
    person.route("https://**/*", lambda route: route.abort())
    with oidc_provider_mock.run_server_in_thread(user_claims=[user]) as server:
        dialog = admin.get_by_role("dialog")
        dialog.get_by_label("Name").fill("Mock")
        dialog.get_by_label("Issuer").fill(f"http://localhost:{server.server_port}")
        dialog.get_by_label("Client ID").fill("ollamamax")
        dialog.get_by_label("Client secret", exact=True).fill("secret")
        save(admin, "Mock")

        set_off(admin, person, "Mock")
        person.get_by_placeholder("sub").fill("bob")
        person.get_by_role("button", name="Authorize", exact=True).click()
        leave(person, "bob@acme.example")
        person.get_by_role("button", name="End session").click()
        person.wait_for_url("**/login")
        expect(person.get_by_role("button", name="Log in", exact=True)).to_be_visible()


def test_by_a_directory(admin: Page, person: Page, tmp_path: Path) -> None:
    with slapd(tmp_path) as company:
        company.add_person("eve", "what the directory knows")
        dialog = admin.get_by_role("dialog")
        dialog.get_by_label("Name", exact=True).fill("Headquarters")
        dialog.get_by_role("combobox", name="Protocol").click()
        admin.get_by_role("option", name="LDAP").click()
        dialog.get_by_label("Addresses").fill(company.address)
        dialog.get_by_label("Base", exact=True).fill(BASE)
        dialog.get_by_label("Account that asks").fill(READER)
        dialog.get_by_label("Password of that account", exact=True).fill(READS)
        save(admin, "Headquarters")
        admin.get_by_label("Certificates of its authority").fill(company.ca)
        admin.get_by_role("button", name="Save").first.click()
        expect(admin.get_by_text("Saved.")).to_be_visible()

        set_off(admin, person, "Headquarters")
        person.get_by_label("Name").fill("eve")
        person.get_by_label("Password", exact=True).fill("not it")
        person.get_by_role("button", name="Log in", exact=True).click()
        expect(person.get_by_text("The name or the password is wrong.")).to_be_visible()
        for page, name in ((person, "log-in-directory"), (admin, "directory")):
            look(page, name, tmp_path)
        person.get_by_label("Password", exact=True).fill("what the directory knows")
        person.get_by_role("button", name="Log in", exact=True).click()
        leave(person, "eve@acme.example")


def test_by_a_passkey_alone_and_as_the_second_factor_that_the_organisation_asks_for(
    browser: Browser, product: Product
) -> None:
    """Last of this module: it changes how everybody logs in."""
    # By this name, and not by the address: passkeys need a name.
    context = browser.new_context(base_url=product.url.replace("127.0.0.1", "localhost"))
    page = context.new_page()
    email = product.facts["admin_email"]
    log_in(page, product)
    keep_passkeys(page)
    page.goto("/account")
    add_passkey(page, "Laptop")
    page.get_by_role("dialog", name="Recovery codes").get_by_role("button", name="Done").click()
    leave(page, email)

    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_role("navigation").first).to_be_visible()

    asks = page.get_by_role("switch", name="Ask members for a second factor")
    page.goto("/single-sign-on")
    page.get_by_label("Days that members have to set one up").fill("0")
    asks.click(force=True)
    page.get_by_role("dialog").get_by_role("button", name="Require it").click()
    expect(asks).to_be_checked()
    leave(page, email)

    page.get_by_label("Email address").fill(email)
    page.get_by_label("Password", exact=True).fill(product.facts["admin_password"])
    page.get_by_role("button", name="Log in", exact=True).click()
    expect(page.get_by_text("Your password was right. Show your second factor.")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.get_by_role("navigation").first).to_be_visible()

    page.goto("/single-sign-on")
    asks.click(force=True)
    expect(asks).not_to_be_checked()
    page.goto("/account")
    page.get_by_role("button", name="Remove Laptop").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_role("listitem").filter(has_text="Laptop")).to_have_count(0)
    leave(page, email)
    # The browser has it still; here it counts no more.
    page.get_by_role("button", name="Log in with a passkey").click()
    expect(page.get_by_text("This passkey is not known here.")).to_be_visible()
    expect(page.get_by_role("navigation")).to_have_count(0)
    context.close()


def look(page: Page, name: str, folder: Path) -> None:
    """At both widths and schemes it has no fault that axe finds, and does not scroll sideways."""
    for scheme in ("light", "dark"):
        for width in (1440, 390):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=Path(SHOTS or folder) / f"{name}-{scheme}-{width}.png", full_page=True)
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width, "it scrolls sideways"
