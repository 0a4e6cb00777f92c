#!/usr/bin/env python3
"""Looks at a console in a real browser (chromium with chromium-driver), and fails where something is wrong.

    look.py http://127.0.0.1:7401 DIRECTORY     screenshots go into the directory

Every page is loaded in both languages, light and dark, at the width of a desktop and of a phone. It fails where the
browser's own log has an error (a breach of the policy is one), where a page is wider than the window, where a live page
does not follow the node, and where the keyboard does not reach the skip link first. It needs nothing but Python.
"""

import base64
import json
import pathlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
PAGES = ["/", "/chains", "/blocks", "/transactions", "/accounts", "/governance", "/node", "/alarms", "/search?q=7"]
PATIENCE = 30.0


class Browser:
    """A session with chromedriver, over its HTTP protocol (W3C WebDriver)."""

    def __init__(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL)
        self.base = f"http://127.0.0.1:{port}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        options = {"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}}
        until = time.monotonic() + PATIENCE
        while True:
            try:
                session = self.post("/session", {"capabilities": {"alwaysMatch": options}})
                break
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        self.base += "/session/" + session["sessionId"]

    def post(self, path, body):
        request = urllib.request.Request(
            self.base + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        return json.load(urllib.request.urlopen(request, timeout=120))["value"]

    def open(self, url):
        self.post("/url", {"url": url})

    def run(self, script, *arguments):
        return self.post("/execute/sync", {"script": script, "args": list(arguments)})

    def cdp(self, command, **parameters):
        return self.post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def log(self):
        entries = self.post("/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]

    def screenshot(self, file):
        image = urllib.request.urlopen(self.base + "/screenshot", timeout=120)
        file.write_bytes(base64.b64decode(json.load(image)["value"]))

    def close(self):
        try:
            urllib.request.urlopen(urllib.request.Request(self.base, method="DELETE"), timeout=10)
        finally:
            self.driver.terminate()
            self.driver.wait()


def asked(console, path):
    return json.load(urllib.request.urlopen(console + path))


def hostile(console):
    """The page of a transaction whose memo a hostile client has written, if there is one."""
    for chain in asked(console, "/v1/chains")["chains"]:
        cursor = "1.0"
        for _ in range(40):
            page = asked(console, f"/v1/chains/{chain['chain']}/history?from={cursor}&limit=500")
            for event in page["events"]:
                memo = ((event.get("said") or {}).get("linked") or {}).get("memo_text") or ""
                if "<script" in memo:
                    return "/transactions/" + event["id"]
            if page["at_end"]:
                break
            cursor = page["next"]
    return None


def crossing(console):
    """The page of a payment between chains, if there is one."""
    page = asked(console, "/v1/chains/1/history?from=1.0&limit=500")
    for event in page["events"]:
        if event.get("outcome") == "sent":
            return "/transactions/" + event["id"]
    return None


def looked_at(browser, console, pages, directory):
    wrong = []
    for language in ["en", "zh"]:
        browser.open(f"{console}/language?to={language}&back=%2F")
        for width, (x, y) in WIDTHS.items():
            browser.cdp(
                "Emulation.setDeviceMetricsOverride", width=x, height=y, deviceScaleFactor=1, mobile=width == "phone"
            )
            for scheme in ["light", "dark"]:
                browser.cdp(
                    "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
                )
                for name, path in pages.items():
                    what = f"{name}-{language}-{width}-{scheme}"
                    browser.open(console + path)
                    browser.screenshot(directory / f"{what}.png")
                    wrong += [f"{what}: {entry}" for entry in browser.log()]
                    wide = browser.run("return document.documentElement.scrollWidth - arguments[0]", x)
                    if wide > 0:
                        wrong.append(f"{what}: {wide} pixels wider than the window")
                    scripts = browser.run("return document.scripts.length")
                    if scripts != 1:
                        wrong.append(f"{what}: {scripts} scripts")
    return wrong


def follows(browser, console):
    """Whether a live page follows the node, and stops where it is asked to."""
    read = "return document.querySelector('footer > p:last-child').textContent"
    browser.open(console + "/")
    first = browser.run(read)
    until = time.monotonic() + PATIENCE
    while browser.run(read) == first:
        if time.monotonic() > until:
            return ["the first page does not follow the node"]
        time.sleep(0.2)
    browser.run("document.getElementById('pause').click()")
    time.sleep(2.5)
    paused = browser.run(read)
    time.sleep(3)
    wrong = [] if browser.run(read) == paused else ["a page that is paused goes on"]
    browser.run("document.getElementById('pause').click()")
    return wrong


def reached_by_keyboard(browser, console):
    """What the key Tab reaches first."""
    browser.open(console + "/chains")
    tab = {"type": "keyDown", "value": "\ue004"}, {"type": "keyUp", "value": "\ue004"}
    browser.post("/actions", {"actions": [{"type": "key", "id": "keys", "actions": list(tab)}]})
    first = browser.run("return document.activeElement.className")
    return [] if first == "skip" else [f"the key Tab reaches {first!r} before the skip link"]


def checked(browser, console, path):
    """Whether a page finds that its proof holds."""
    browser.open(console + path)
    browser.run("document.querySelector('[data-proof] button').click()")
    until = time.monotonic() + PATIENCE
    while True:
        kind, said = browser.run(
            "const of = document.querySelector('[data-proof] output'); return [of.className, of.textContent]"
        )
        if kind == "good":
            return []
        if kind == "bad" or time.monotonic() > until:
            return [f"the proof of {path} is not found to hold: {said}"]
        time.sleep(0.2)


def main():
    console, directory = sys.argv[1].rstrip("/"), pathlib.Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    pages = {path.split("?")[0].strip("/") or "network": path for path in PAGES}
    for name, find in [("hostile", hostile), ("crossing", crossing)]:
        path = find(console)
        if path is None:
            print(f"note: there is no transaction for {name} yet", file=sys.stderr)
        else:
            pages[name] = path
    browser = Browser()
    try:
        wrong = looked_at(browser, console, pages, directory)
        wrong += follows(browser, console)
        wrong += reached_by_keyboard(browser, console)
        wrong += checked(browser, console, "/chains/1/accounts/7")
        wrong += checked(browser, console, pages["crossing"]) if "crossing" in pages else []
    finally:
        browser.close()
    for line in wrong:
        print(line)
    print(f"{len(pages)} pages, {len(list(directory.glob('*.png')))} screenshots in {directory}, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
