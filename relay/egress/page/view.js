const $ = (id) => document.getElementById(id);

// put sets a text only if it differs, because screen readers announce each change of a live
// region.
function put(id, text) {
  if ($(id).textContent !== text) $(id).textContent = text;
}

// say shows a state and its reason.
export function say(is, word, detail = "") {
  if ($("state").dataset.is !== is) $("state").dataset.is = is;
  put("word", word);
  put("detail", detail);
  $("again").hidden = !["ended", "off", "absent"].includes(is);
}

// tell shows values that change all the time, which are not announced.
export function tell({ since, facts }) {
  put("since", since ?? "");
  if ($("facts")) put("facts", facts ?? "");
}

export function notice(text) {
  $("notice").hidden = !text;
  put("notice", text ?? "");
}

// span returns a duration as text.
export function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${s % 60} s`;
}

export { $ };
