// The gateway's events. EventSource can show no token, so this reads the stream of a fetch: the token goes as a header, never in a URL.

const SILENCE = 10_000; // a gateway tells something every second; after this it is taken for gone
const SLOWEST = 5_000; // between two tries
const HIDDEN = 60_000; // a tab that nobody sees gives its seat back

// Calls tell(name, data) for each event, and link(state, why) when the connection changes: connecting, live, lost, full, token, local.
export function listen({ tell, link, token }) {
  let stopped = false;
  let asleep = false;
  let failures = 0;
  let wake = () => {};
  let cut = new AbortController();

  const pause = (ms) => new Promise((done) => {
    const timer = setTimeout(done, ms);
    wake = () => { clearTimeout(timer); done(); };
  });

  async function once() {
    cut = new AbortController();
    let dog = setTimeout(() => cut.abort(), SILENCE);
    try {
      const shown = token();
      const headers = shown ? { authorization: `Bearer ${shown}` } : {};
      const answer = await fetch('/events', { headers, cache: 'no-store', credentials: 'omit', signal: cut.signal });
      if (answer.status === 401) return 'token';
      if (answer.status === 403) return 'local';
      if (answer.status === 503) return 'full';
      if (!answer.ok) return 'lost';
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return 'ended';
        clearTimeout(dog);
        dog = setTimeout(() => cut.abort(), SILENCE);
        const events = (text + value).split('\n\n');
        text = events.pop();
        for (const event of events) hand(event);
      }
    } catch {
      return 'lost';
    } finally {
      clearTimeout(dog);
    }
  }

  function hand(event) {
    const lines = event.split('\n');
    const of = (field) => lines.filter((line) => line.startsWith(`${field}: `)).map((line) => line.slice(field.length + 2)).join('\n');
    if (!of('data')) return;
    failures = 0;
    link('live');
    tell(of('event'), JSON.parse(of('data')));
  }

  async function again() {
    link('connecting');
    while (!stopped) {
      const end = await once();
      if (stopped) return;
      if (asleep) { await new Promise((done) => { wake = done; }); continue; }
      // A stream that came to its end is taken up anew; that is no loss unless it fails.
      if (end === 'ended' && failures === 0) { failures = 1; continue; }
      failures += 1;
      link(end === 'ended' ? 'lost' : end);
      await pause(end === 'token' || end === 'local' ? SLOWEST * 6 : Math.min(500 * failures, SLOWEST));
    }
  }

  let sleep;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(sleep);
    if (document.hidden) sleep = setTimeout(() => { asleep = true; cut.abort(); }, HIDDEN);
    else if (asleep) { asleep = false; failures = 0; wake(); }
  });
  again();
  return {
    // Begins anew, with what token() says now.
    restart() { failures = 0; cut.abort(); wake(); },
    stop() { stopped = true; cut.abort(); wake(); },
  };
}
