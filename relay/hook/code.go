package hook

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// verdictOf interprets the body of a response with status 2xx to a question. Such a response allows,
// unless it is from a hook that was written for SRS. Those hooks always respond with 200, and refuse
// with a code other than 0. The code is in a JSON object, or is the whole body.
func verdictOf(body []byte, err error) answer {
	if err != nil {
		return answer{outcome: Failed, retry: true, err: errText("its response was cut off")}
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
	if len(text) == 0 || !strings.ContainsRune("{-0123456789", rune(text[0])) {
		return answer{outcome: Delivered}
	}
	if len(body) > maxBody { // the rest may contain a code
		return answer{outcome: Failed, err: errText("its response is longer than " + strconv.Itoa(maxBody) + " bytes")}
	}
	code, ok := codeOf(text)
	if !ok {
		return answer{outcome: Delivered}
	}
	a := answer{outcome: Refused, err: errText("it answered with code " + code + ", which refuses; 0 allows")}
	a.reason, a.hint = refusalText(text)
	return a
}

// codeOf returns the code of a response that refuses. ok is false if the response has no code, or
// code 0.
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
	if f, _ := strconv.ParseFloat(code, 64); f == 0 { // not a number, or 0; a number out of range still refuses
		return "", false
	}
	return printable(code[:min(len(code), 32)]), true
}
