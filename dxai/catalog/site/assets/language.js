"use strict";
// Runs before the page is drawn: a module would let the wrong language flash up.
(() => {
  const LANGUAGES = ["en", "ko"];
  const root = document.documentElement;

  function remembered() {
    try {
      return localStorage.getItem("language");
    } catch {
      return null; // storage may be forbidden
    }
  }

  function remember(language) {
    try {
      localStorage.setItem("language", language);
    } catch {
      // the choice then holds for this page only
    }
  }

  function relabel() {
    for (const element of document.querySelectorAll("[data-en]")) {
      element.textContent = element.dataset[root.lang];
    }
    for (const button of document.querySelectorAll("[data-language]")) {
      button.setAttribute("aria-pressed", String(button.dataset.language === root.lang));
    }
  }

  function choose(language) {
    root.lang = language;
    root.classList.remove("in-en", "in-ko");
    root.classList.add(`in-${language}`);
    relabel();
  }

  // A page opened from a folder may not load its program: the style sheet shows what to do instead.
  root.classList.toggle("from-folder", location.protocol === "file:");

  const asked = new URLSearchParams(location.search).get("lang");
  if (LANGUAGES.includes(asked)) {
    remember(asked);
  }
  const wished = [asked, remembered(), ...navigator.languages.map((tag) => tag.slice(0, 2))];
  choose(wished.find((language) => LANGUAGES.includes(language)) ?? "en");

  document.addEventListener("DOMContentLoaded", relabel);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-language]");
    if (button) {
      remember(button.dataset.language);
      choose(button.dataset.language);
    }
  });
})();
