package hook

import (
	"cmp"
	"context"
	"crypto/sha256"
	"net"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/delay"
)

// maxAttempts is how often a failing hook is called for one question, within its timeout. A hook
// whose last call failed is called only once.
const maxAttempts = 3

// retryBackoff is the backoff between the calls for one question.
var retryBackoff = policy.Backoff{Base: 100 * time.Millisecond, Factor: 2, Max: time.Second, Jitter: 0.5}

// unanswered returns the refusal for a question that no hook has answered.
func unanswered() error {
	return &ingest.Refusal{
		Outcome: ingest.RefusedLimit, Reason: "the relay could not ask whether this is allowed", Hint: "try again in a moment",
		RetryAfter: 2 * time.Second,
	}
}

// ask asks the target a question, unless the answer is cached.
func (t *target) ask(ctx context.Context, m message, k key) error {
	h := t.hook.Load()
	lasts := h.Cache
	if m.kind != Play {
		lasts = 0
	}
	if lasts > 0 {
		if err, ok := t.cache.get(time.Now(), k); ok {
			return err
		}
	}
	a := t.callUntilAnswered(ctx, m, h.Timeout)
	t.o.Count(m.kind, a.outcome)
	if err := ctx.Err(); err != nil { // the peer has disconnected
		return err
	}
	t.logState(a, m.kind)
	var verdict error
	switch {
	case a.outcome == Delivered:
	case a.outcome == Refused:
		verdict = refusal(m.kind, a)
	case h.Deny:
		return unanswered()
	default:
		return nil
	}
	if lasts > 0 {
		t.cache.put(time.Now(), k, verdict, lasts)
	}
	return verdict
}

func refusal(kind Type, a answer) error {
	what := "publishing this stream was refused"
	if kind == Play {
		what = "playing this stream was refused"
	}
	return &ingest.Refusal{
		Outcome: ingest.RefusedKey, Reason: cmp.Or(a.reason, what), Hint: cmp.Or(a.hint, "ask the operator of this relay"),
	}
}

// callUntilAnswered waits for a slot, and then calls the hook until it answers or limit has passed.
func (t *target) callUntilAnswered(ctx context.Context, m message, limit time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(t.ctx, cancel)() // or until the hooks are closed
	turn := t.slots[m.kind]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return answer{outcome: Failed, err: errText("too many questions are pending")}
	}
	t.mu.Lock()
	left := maxAttempts
	if t.down {
		left = 1
	}
	t.mu.Unlock()
	for n := 0; ; n++ {
		a := t.post(ctx, m)
		if left--; a.outcome != Failed || !a.retry || left == 0 || delay.Sleep(ctx, retryBackoff.Delay(n, chance())) != nil {
			return a
		}
	}
}

// key identifies a viewer in the cache, by stream, token and address without port.
type key [sha256.Size]byte

func keyOf(e Event, secret string) key {
	host, _, err := net.SplitHostPort(e.Remote)
	if err != nil {
		host = e.Remote
	}
	return sha256.Sum256([]byte(e.Stream + "\x00" + host + "\x00" + secret))
}

// maxCached is the maximum number of cached answers per hook.
const maxCached = 10_000

// answerCache caches answers for a while.
type answerCache struct {
	mu    sync.Mutex // guards byKey
	byKey map[key]verdict
}

type verdict struct {
	err   error
	until time.Time
}

func (a *answerCache) get(now time.Time, k key) (err error, ok bool) { //nolint:revive // the error is the value
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.byKey[k]
	return v.err, ok && now.Before(v.until)
}

// put caches an answer. If the cache is full, it drops the expired answers, or all answers if none
// has expired.
func (a *answerCache) put(now time.Time, k key, err error, lasts time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.byKey) >= maxCached {
		for k, v := range a.byKey {
			if !now.Before(v.until) {
				delete(a.byKey, k)
			}
		}
		if len(a.byKey) >= maxCached {
			clear(a.byKey)
		}
	}
	if a.byKey == nil {
		a.byKey = map[key]verdict{}
	}
	a.byKey[k] = verdict{err, now.Add(lasts)}
}

func (a *answerCache) clear() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.byKey)
}
