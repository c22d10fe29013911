package hook

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// verdictOf returns what a body says that came with a status of 2xx as the answer to a question. It
// allows, unless it is of a hook that was written for SRS: those answer 200 in any case and refuse with
// a code that is not 0, in JSON or alone.
func verdictOf(body []byte, err error) answer {
	if err != nil {
		return answer{outcome: Failed, retry: true, err: errText("its answer broke off")}
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(text) == 0 || !strings.ContainsRune("{-0123456789", rune(text[0])) {
		return answer{outcome: Delivered}
	}
	if len(body) > maxBody { // it may have a code
		return answer{outcome: Failed, err: errText("its answer is longer than " + strconv.Itoa(maxBody) + " bytes")}
	}
	code, ok := codeOf(text)
	if !ok {
		return answer{outcome: Delivered}
	}
	a := answer{outcome: Refused, err: errText("it answered with code " + code + ", which refuses; 0 allows")}
	a.reason, a.hint = refusalText(text)
	return a
}

// codeOf returns the code of an answer that refuses; ok is false where it has none, or 0.
func codeOf(text []byte) (code string, ok bool) {
	var value any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&value) != nil || d.More() {
		return "", false
	}
	if object, is := value.(map[string]any); is {
		value = object["code"]
	}
	switch v := value.(type) {
	case json.Number:
		code = v.String()
	case string:
		code = v
	default:
		return "", false
	}
	if f, _ := strconv.ParseFloat(code, 64); f == 0 { // a word, or 0; what is out of range is not
		return "", false
	}
	return printable(code[:min(len(code), 32)]), true
}
