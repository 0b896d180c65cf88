// Texts of the page's program: the same file as the templates', in both languages at once; the style sheet hides one.

let texts = {};

export async function loadTexts() {
  const answer = await fetch(new URL("texts.json", import.meta.url));
  texts = await answer.json();
}

/** A span per language; values may be plain or `{en, ko}`. */
export function say(key, values = {}) {
  return both({ en: filled(key, "en", values), ko: filled(key, "ko", values) });
}

export function both(text) {
  if (text.en === text.ko) {
    return document.createTextNode(text.en);
  }
  const spans = document.createDocumentFragment();
  for (const language of ["en", "ko"]) {
    spans.append(element("span", { class: language, lang: language }, text[language]));
  }
  return spans;
}

/** The two texts of a key as `{en, ko}`, to be put into another text. */
export function text(key, values = {}) {
  return { en: filled(key, "en", values), ko: filled(key, "ko", values) };
}

/** Several texts as one, separated by commas. */
export function listed(parts) {
  return { en: parts.map((p) => p.en ?? p).join(", "), ko: parts.map((p) => p.ko ?? p).join(", ") };
}

let made = 0;

/** An id that no other element has. */
export function uniqueId() {
  made += 1;
  return `made-${made}`;
}

function filled(key, language, values) {
  return texts[key][language].replace(/\{(\w+)\}/g, (_, name) => values[name][language] ?? values[name]);
}

/** An element with attributes and children; a text can never become markup. */
export function element(tag, attributes = {}, ...children) {
  const namespace = ["svg", "path", "line", "rect", "circle", "text", "g"].includes(tag)
    ? "http://www.w3.org/2000/svg"
    : "http://www.w3.org/1999/xhtml";
  const made = document.createElementNS(namespace, tag);
  for (const [name, value] of Object.entries(attributes)) {
    made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
