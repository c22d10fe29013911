const $ = (id) => document.getElementById(id);

// put changes a text only where it is another: a live region says what is put anew.
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// say shows the state in a word, and why.
export function say(is, word, detail = "") {
  if ($("state").dataset.is !== is) $("state").dataset.is = is;
  put("word", word);
  put("detail", detail);
  $("again").hidden = !["ended", "off", "absent"].includes(is);
}

// tell shows what changes all the time, which is read out to nobody.
export function tell({ since, facts }) {
  put("since", since ?? "");
  if ($("facts")) put("facts", facts ?? "");
}

export function notice(text) {
  $("notice").hidden = !text;
  put("notice", text ?? "");
}

// span is a length of time in words.
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
}

export { $ };
