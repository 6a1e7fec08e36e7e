"""Pages of what is installed: HTML for people, OpenAPI for tools. Every example that a page shows is run by a shell."""

import html
import json
import re
import shutil
import subprocess

import pytest
import requests
import tinychain as tc

from sample_chains import CHAINS, keeper
from sample_services import catalog, class_links, fresh, install, item, ledger, path, stock, till, units
from support import DEADLINE, error_of

OF_A_BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
OK = {"200"}
# What is not there is not found, and what is none has no parts.
OF_NOTHING = {"200", "400", "404"}
# Nobody knows the id of a transaction before it is made.
OF_CHAINS = {"chain/at": {"400"}}


def get(url, link, accept="text/html", **kwargs):
    return requests.get(url + str(link), headers={"Accept": accept}, timeout=DEADLINE, **kwargs)


def page(url, link):
    response = get(url, link)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.text.startswith("<!doctype html>") and response.text.endswith("</html>\n")
    return response.text


def describe(url, link):
    response = get(url, link, "*/*", params={"openapi": "true"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def examples(text):
    """The commands on a page, in their order."""

    return [html.unescape(command) for command in re.findall(r'<pre class="example">(.*?)</pre>', text, re.DOTALL)]


def run(command):
    """Run a command as if it were pasted into a shell, and return the status of the reply."""

    assert command.startswith("curl "), command
    told = command.replace("curl ", f"curl --silent --max-time {DEADLINE} --write-out '\\n%{{http_code}}' ", 1)
    done = subprocess.run(["sh", "-c", told], capture_output=True, text=True, timeout=2 * DEADLINE)
    assert done.returncode == 0, (command, done.stderr)
    body, _, status = done.stdout.rpartition("\n")
    return status, body


def run_all(url, link, unlike=None):
    """Run the examples of a page from top to bottom. `unlike` has what the names of some may be answered with."""

    commands = examples(page(url, link))
    assert commands
    unlike = {**OF_CHAINS, **(unlike or {})}
    for command in commands:
        names = [name for name in unlike if re.search(rf"/{name}[ ?'\"]", command + " ")]
        allowed = set().union(*(unlike[name] for name in names)) if names else OK
        status, body = run(command)
        assert status in allowed, (command, status, body)
    return commands


# --- what is shown to whom --------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/json,text/html", "text/html;q=0"])
def test_tools_get_json(host, url, accept):
    lib = install(host, units(fresh()))
    for link in ("/lib", item(lib), path(lib)):
        response = get(url, link, accept)
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        response.json()


@pytest.mark.parametrize("accept", [OF_A_BROWSER, "text/html", "application/json;q=0.5, text/html"])
def test_browsers_get_html(host, url, accept):
    lib = install(host, units(fresh()))
    for link in ("/lib", item(lib), path(lib)):
        assert get(url, link, accept).headers["content-type"] == "text/html; charset=utf-8"


def test_what_is_in_a_version_has_no_page(host, url):
    lib = install(host, units(fresh()))
    response = get(url, path(lib, "LIMITS", "x"))
    assert (response.headers["content-type"], response.json()) == ("application/json", 1)
    response = get(url, path(lib), params={"key": '"NAME"'})
    assert (response.headers["content-type"], response.json()) == ("application/json", "units")


def test_a_page_of_nothing(host, url):
    lib = install(host, units(fresh()))
    for link in ("/lib/nobody", str(item(lib)) + "/9.0.0"):
        error_of(get(url, link), 404, "not_found")
        error_of(get(url, link, params={"openapi": "true"}), 404, "not_found")


def test_directories_and_items_lead_to_versions(host, url):
    ns = fresh()
    lib = install(host, units(ns), units(ns, "1.1.0"))
    for link, below in [("/lib", f"/lib{ns}"), (f"/lib{ns}", item(lib)), (item(lib), path(lib))]:
        assert f'<a href="{below}">' in page(url, link)
    shown = page(url, item(lib))
    assert shown.index("1.0.0</a>") < shown.index("1.1.0</a>")


# --- examples ---------------------------------------------------------------------------------------------------


def test_examples_of_a_library(host, url):
    lib = install(host, units(fresh()))
    commands = run_all(url, path(lib))
    for name in ("double", "quad", "to_feet", "area", "LIMITS", "NAME", "NOTHING", "VERSION"):
        assert any(f"{path(lib)}/{name}" in command for command in commands), name
    area = next(command for command in commands if "/area " in command)
    assert run(area) == ("200", "1\n")


def test_examples_of_a_service(host, url):
    goods = install(host, stock(fresh()))
    commands = run_all(url, path(goods))
    explicit = {command.split()[2] for command in commands if command.startswith("curl -X ")}
    assert explicit == {"PUT", "DELETE"} and any("/take -d " in command for command in commands)
    # again, now that all was written and deleted, also the number that `take` adds to
    run_all(url, path(goods), {"take": OF_NOTHING})
    accounts = install(host, ledger(fresh()))
    run_all(url, path(accounts))


def test_examples_before_there_is_anything(host, url):
    """In any order, an example is answered, if only by saying that there is nothing."""

    goods = install(host, stock(fresh()))
    for command in reversed(examples(page(url, path(goods)))):
        status, body = run(command)
        assert status in OF_NOTHING, (command, status, body)


def test_examples_that_need_another_service(host, url):
    ns = fresh()
    goods, accounts = stock(ns), ledger(ns)
    shop = install(host, goods, accounts, till(goods, accounts, ns))
    run_all(url, path(shop), {name: OF_NOTHING for name in ("buy", "order", "quote")})


def test_examples_of_classes(host, url):
    lib = install(host, catalog(fresh()))
    version = class_links(lib)[0].removesuffix("/Item")
    commands = run_all(url, version)
    assert any('"$i/total":{"qty":1}' in command for command in commands)
    # it is not known what kind of thing an item is
    run_all(url, path(lib), {"dozen": OF_NOTHING})


# What only chains of some kinds are asked for.
OWN = {"backup": {"compact"}, "compliant": {"owner", "purge", "purges"}, "reduce": {"reduce", "level"}}


@pytest.mark.parametrize("kind", CHAINS)
def test_examples_of_chains(host, url, kind):
    service = install(host, keeper(fresh(), kind))
    commands = run_all(url, path(service), {"fail": {"409"}})
    assert f"{kind.capitalize()}Chain of a table" in page(url, path(service))
    below = {name for command in commands for name in re.findall(r"/table/chain/?(\w*)", command)}
    recorded = set() if kind == "sync" else {"blocks", "records", "at", "verify"}
    assert below == {"", "info"} | recorded | OWN.get(kind, set())


def test_odd_texts(host, url):
    """Constants and templates with what means something to HTML or to a shell."""

    link = f"/lib{fresh()}/odd"
    host.create_namespace(tc.URI(link))
    render = [["t", "it's `{{x}}` & <b>$HOME</b>"], ["_return", {"$t/render": {"x": {"$x": []}}}]]
    odd = {"text": "</pre><script>alert('x')</script>", "f": {"/state/scalar/op/post": render}, "é[1]%": 5}
    host.put(link, "1.0.0", {link: odd})
    shown = page(url, link + "/1.0.0")
    assert "<script" not in shown
    run_all(url, link + "/1.0.0")


def test_the_host_is_that_of_the_request(host, url):
    lib = install(host, units(fresh()))
    for name, found in [("example.com:80", "http://example.com:80/"), ("a';id;'", "http://127.0.0.1:8702/")]:
        shown = requests.get(url + str(path(lib)), headers={"Accept": "text/html", "Host": name}, timeout=DEADLINE).text
        assert all(found in command for command in examples(shown))


# --- OpenAPI ----------------------------------------------------------------------------------------------------


def test_the_description_of_a_version(host, url):
    goods = install(host, stock(fresh()))
    document = describe(url, path(goods))
    assert document["openapi"] == "3.1.0"
    assert document["info"]["title"] == str(item(goods)) and document["info"]["version"] == "1.0.0"
    assert document["servers"] == [{"url": url}]
    for name, verb in {"restock": "put", "take": "post", "size": "get", "drop": "delete"}.items():
        assert list(document["paths"][str(path(goods, name))]) == [verb]
    assert set(document["paths"][str(path(goods, "items"))]) == {"get", "put", "post", "delete"}
    ids = [operation["operationId"] for operations in document["paths"].values() for operation in operations.values()]
    assert len(ids) == len(set(ids))


def call(url, link, verb, operation):
    """Make the call that an operation gives as an example."""

    keys = [param for param in operation["parameters"] if param["name"] == "key"]
    params = {key["name"]: json.dumps(key["content"]["application/json"]["example"]) for key in keys}
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    data = json.dumps(body) if "requestBody" in operation else None
    return requests.request(verb, url + link, params=params, data=data, timeout=DEADLINE)


def test_the_examples_of_a_description(host, url):
    ns = fresh()
    lib, goods = install(host, units(ns)), install(host, stock(ns))
    for version in (lib, goods):
        document = describe(url, path(version))
        order = ["put", "get", "post", "delete"]
        paths = document["paths"].items()
        calls = [(verb, link, operation) for link, verbs in paths for verb, operation in verbs.items()]
        for verb, link, operation in sorted(calls, key=lambda call: order.index(call[0])):
            response = call(url, link, verb, operation)
            expected = 400 if link.endswith("/chain/at") else 200
            assert response.status_code == expected, (verb, link, response.text)


def test_only_a_version_is_described(host, url):
    lib = install(host, units(fresh()))
    for link in ("/lib", item(lib)):
        error_of(get(url, link, params={"openapi": "true"}), 400, "bad_request")
    error_of(get(url, path(lib), params={"openapi": "maybe"}), 400, "bad_request")


# --- a browser --------------------------------------------------------------------------------------------------


@pytest.fixture
def browse(tmp_path):
    """What a browser makes of a page, and what it says about it."""

    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed; ./test installs it")
    flags = [
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--enable-logging=stderr",
        f"--user-data-dir={tmp_path / 'browser'}",
    ]

    def dump(address):
        done = subprocess.run([browser, *flags, "--dump-dom", address], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert ":CONSOLE" not in done.stderr, done.stderr
        return done.stdout

    return dump


def headings(dom):
    return [html.unescape(text) for text in re.findall(r"<h[1-4][^>]*>(.*?)</h[1-4]>", dom)]


def test_a_service_in_a_browser(host, url, browse):
    goods = install(host, stock(fresh()))
    dom = browse(url + str(path(goods)))
    shown = headings(dom)
    assert shown[0] == "stock 1.0.0"
    assert {"Methods", "Data", "Constants"} <= set(shown)
    assert {"restock", "drop", "size", "has", "scarce", "take", "tried", "items", "log", "sold"} <= set(shown)
    # what the browser shows is what can be pasted
    assert examples(dom) == examples(page(url, path(goods)))


def test_the_way_to_a_library_in_a_browser(host, url, browse):
    lib = install(host, units(fresh()))
    for link, below in [("/lib", str(item(lib))[: -len("/units")]), (item(lib), path(lib))]:
        assert f'<a href="{below}">' in browse(url + str(link))
    assert headings(browse(url + str(path(lib))))[0] == "units 1.0.0"
    assert "TinyChain" in headings(browse(url + "/docs"))[0]
