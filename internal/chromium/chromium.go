// Package chromium looks at pages in a headless browser, for tests.
package chromium

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Browser is a headless one, driven by the DevTools protocol over a pair of pipes:
// messages are JSON, each ended by a zero byte.
type Browser struct {
	T       testing.TB // that errors are of
	to      *os.File
	from    *bufio.Reader
	last    int
	session string
	events  []event
}

type event struct {
	Method string
	Params json.RawMessage
}

// find skips the test on machines without a browser.
func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium or google-chrome on PATH: the page is not looked at in a browser here")
	return ""
}

// Start starts a browser that ends with the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := find(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--user-data-dir="+t.TempDir(), "--remote-debugging-pipe", "about:blank")
	var log bytes.Buffer
	cmd.Stderr = &log
	inRead, inWrite := pipe(t)
	outRead, outWrite := pipe(t)
	cmd.ExtraFiles = []*os.File{inRead, outWrite} // 3 and 4, as the flag has it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	inRead.Close()
	outWrite.Close()
	t.Cleanup(func() {
		c := inWrite.Close() // it ends when its pipe does
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			cancel()
			<-done
		}
		cancel()
		outRead.Close()
		if t.Failed() {
			t.Logf("close %v; the browser's log:\n%s", c, log.String())
		}
	})
	b := &Browser{T: t, to: inWrite, from: bufio.NewReader(outRead)}
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Network", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

func pipe(t testing.TB) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

type message struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct{ Message string }
}

// call sends a command and waits for its answer; events on the way are kept.
func (b *Browser) call(method string, params map[string]any, reply any) {
	b.T.Helper()
	b.last++
	m := map[string]any{"id": b.last, "method": method}
	if params != nil {
		m["params"] = params
	}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	data, err := json.Marshal(m)
	if err != nil {
		b.T.Fatal(err)
	}
	if _, err := b.to.Write(append(data, 0)); err != nil {
		b.T.Fatalf("%s: %v", method, err)
	}
	for {
		got := b.read()
		if got.ID != b.last {
			continue
		}
		if got.Error != nil {
			b.T.Fatalf("%s: %s", method, got.Error.Message)
		}
		if reply != nil {
			if err := json.Unmarshal(got.Result, reply); err != nil {
				b.T.Fatalf("%s: %v", method, err)
			}
		}
		return
	}
}

func (b *Browser) read() message {
	b.T.Helper()
	data, err := b.from.ReadBytes(0)
	if err != nil {
		b.T.Fatalf("the browser ended: %v", err)
	}
	var m message
	if err := json.Unmarshal(data[:len(data)-1], &m); err != nil {
		b.T.Fatal(err)
	}
	if m.Method != "" {
		b.events = append(b.events, event{m.Method, m.Params})
	}
	return m
}

// Open loads a page and waits until it is all there.
func (b *Browser) Open(url string) {
	b.T.Helper()
	b.events = nil
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	for !b.seen("Page.loadEventFired") {
		b.read()
	}
}

func (b *Browser) seen(method string) bool {
	for _, e := range b.events {
		if e.Method == method {
			return true
		}
	}
	return false
}

// Eval gives the value of a JavaScript expression.
func (b *Browser) Eval(expression string, value any) {
	b.T.Helper()
	var reply struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &reply)
	if reply.ExceptionDetails != nil {
		b.T.Fatalf("%s: %s", expression, reply.ExceptionDetails.Text)
	}
	if err := json.Unmarshal(reply.Result.Value, value); err != nil {
		b.T.Fatalf("%s: %v", expression, err)
	}
}

// Show sets the window's width and the colour scheme.
func (b *Browser) Show(width int, scheme string) {
	b.T.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Screenshot keeps the whole page as a picture.
func (b *Browser) Screenshot(path string) error {
	var shot struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true, "format": "png"}, &shot)
	if len(shot.Data) == 0 {
		return errors.New("the browser took an empty picture")
	}
	return os.WriteFile(path, shot.Data, 0o644)
}

// Complaints are errors on the console and requests other than for the page.
func (b *Browser) Complaints(page string) []string {
	var out []string
	for _, e := range b.events {
		switch e.Method {
		case "Runtime.exceptionThrown":
			out = append(out, fmt.Sprintf("exception: %s", e.Params))
		case "Runtime.consoleAPICalled", "Log.entryAdded":
			out = append(out, fmt.Sprintf("console: %s", e.Params))
		case "Network.requestWillBeSent":
			var r struct{ Request struct{ URL string } }
			if err := json.Unmarshal(e.Params, &r); err != nil || r.Request.URL != page {
				out = append(out, "request: "+r.Request.URL)
			}
		}
	}
	return out
}

// FileURL is the address of a file.
func FileURL(t testing.TB, path string) string {
	t.Helper()
	whole, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return "file://" + whole
}

// Payloads are texts that become elements, handlers or scripts where a page takes
// them for markup. Scripts set window.pwned.
var Payloads = []string{
	`<script>window.pwned = 1</script>`,
	`<img src=x onerror="window.pwned = 1">`,
	`"><svg onload=window.pwned=1>`,
	`' onfocus='window.pwned = 1' autofocus x='`,
	`</title></style></script></svg><script>window.pwned = 1</script>`,
	`<a href="javascript:window.pwned = 1">a</a>`,
	`]]><script xmlns="http://www.w3.org/1999/xhtml">window.pwned = 1</script>`,
	`<base href="https://example.invalid/"><iframe src="https://example.invalid/"></iframe><form action=x><input>`,
	`&lt;script&gt;window.pwned = 1&lt;/script&gt;`,
	"{{.}}${window.pwned = 1}`\u202e\x00\x1b[31m",
}

// Injected says what of a page that has so many scripts of its own, and links only
// within itself, came out of text.
func (b *Browser) Injected(scripts int) (found []string) {
	b.T.Helper()
	b.Eval(fmt.Sprintf(`(() => {
		const found = window.pwned ? ["a script has run"] : [];
		if (document.scripts.length !== %d) found.push(document.scripts.length + " scripts");
		for (const e of document.querySelectorAll("*")) {
			const name = e.localName;
			if (["img", "iframe", "object", "embed", "link", "base", "form", "input", "foreignobject", "animate", "set"].includes(name.toLowerCase())) found.push("<" + name + ">");
			if (name === "a" && !e.getAttribute("href").startsWith("#")) found.push("a link to " + e.getAttribute("href"));
			for (const a of e.attributes) if (a.name.startsWith("on")) found.push(a.name + " on <" + name + ">");
		}
		return found;
	})()`, scripts), &found)
	return found
}
