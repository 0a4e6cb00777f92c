// What pages need beyond HTML: when the node has a new moment, what has changed is put into the page.
// One tab holds the stream of events; the others hear of it through a channel. Without this script all pages work.
"use strict";
(() => {
  const live = document.querySelector("main[data-live]");
  const pause = document.getElementById("pause");
  const said = document.getElementById("said");
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("millrace") : null;
  const PAUSED = "millrace-paused";
  let busy = false;
  let alarms = null;

  const isPaused = () => sessionStorage.getItem(PAUSED) === "1";

  // Somebody reads with the keyboard, or marks something: the page waits.
  const isInUse = () => {
    const selection = document.getSelection();
    const marks = selection && !selection.isCollapsed && live.contains(selection.anchorNode);
    const focused = document.activeElement;
    return marks || (focused && focused !== live && live.contains(focused));
  };

  const refresh = async () => {
    if (!live || busy || document.hidden || isPaused() || isInUse()) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected) { location.reload(); return; }
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (isInUse() || isPaused()) return;
      replace(live, page.querySelector("main"));
      replace(document.querySelector("footer > p:last-child"), page.querySelector("footer > p:last-child"));
    } catch { /* The next moment tries again. */ } finally { busy = false; }
  };

  // Puts in what has changed, part by part, so that what has not stays where it is.
  const replace = (old, fresh) => {
    if (!old || !fresh) return;
    const scrolled = new Map();
    old.querySelectorAll(".scroll").forEach((part) => scrolled.set(part.ariaLabel, part.scrollLeft));
    const olds = [...old.children];
    const news = [...fresh.children];
    if (olds.length !== news.length || !olds.length) {
      if (!old.isEqualNode(fresh)) old.replaceChildren(...[...fresh.childNodes].map((node) => document.adoptNode(node)));
    } else {
      olds.forEach((part, at) => {
        if (!part.hasAttribute("data-keep") && !part.isEqualNode(news[at])) part.replaceWith(document.adoptNode(news[at]));
      });
    }
    old.querySelectorAll(".scroll").forEach((part) => { part.scrollLeft = scrolled.get(part.ariaLabel) || 0; });
  };

  const moment = (data) => {
    if (said) {
      const now = data.lost ? said.dataset.lost : `${said.dataset.alarms}: ${data.alarms}`;
      // The first one says nothing new.
      if (alarms !== null && alarms !== now) said.textContent = now;
      alarms = now;
    }
    refresh();
  };

  const listen = () => new Promise((ended) => {
    const events = new EventSource("/console/events");
    events.addEventListener("moment", (event) => {
      const data = JSON.parse(event.data);
      if (channel) channel.postMessage(data);
      moment(data);
    });
    window.addEventListener("pagehide", () => { events.close(); ended(); }, { once: true });
  });

  // Checks a proof with the module that was built from the crate `proof`.
  const check = async (part) => {
    const output = part.querySelector("output");
    const say = (holds, words) => {
      output.className = holds ? "good" : "bad";
      output.textContent = `${holds ? part.dataset.holds : part.dataset.fails} ${words}`;
    };
    output.textContent = "…";
    try {
      const module = WebAssembly.instantiateStreaming(fetch("/console/proof.wasm"));
      const [answer, header, { instance }] = await Promise.all([
        fetch(part.dataset.proof), fetch("/console/genesis"), module]);
      const told = await answer.json();
      if (!answer.ok) throw new Error(told.error.message);
      const of = instance.exports;
      const put = (place, bytes) => {
        const at = of.room(place, bytes.length);
        if (!at) throw new Error(`${bytes.length} bytes`);
        new Uint8Array(of.memory.buffer, at, bytes.length).set(bytes);
      };
      put(0, told.proof.match(/../g).map((digits) => parseInt(digits, 16)));
      put(1, new Uint8Array(await header.arrayBuffer()));
      const holds = of.check() === 1;
      const words = new Uint8Array(of.memory.buffer, of.answer(), of.answer_length());
      say(holds, new TextDecoder().decode(words));
    } catch (error) { say(false, error.message); }
  };

  document.querySelectorAll("[data-proof]").forEach((part) => {
    part.hidden = false;
    part.querySelector("button").addEventListener("click", () => check(part));
  });

  if (live) {
    if (channel) channel.addEventListener("message", (event) => moment(event.data));
    if (channel && navigator.locks) navigator.locks.request("millrace-events", listen);
    else listen();
    window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
    document.addEventListener("visibilitychange", refresh);
  }
  if (pause) {
    const show = () => pause.setAttribute("aria-pressed", String(isPaused()));
    pause.hidden = false;
    pause.addEventListener("click", () => {
      sessionStorage.setItem(PAUSED, isPaused() ? "0" : "1");
      show();
      refresh();
    });
    show();
  }
})();
