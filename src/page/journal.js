// What happened, newest first; and what came in at the doors.

import { h } from './dom.js';
import { brief, clock, count, plural, sum } from './format.js';
import { REFUSED, STATES } from './words.js';

const SHOWN = 60;

// The tone of an event, by its words: only for the eye, the words tell all of it.
function tone(what) {
  const state = /^(normal|replaying|on_fallback|paused|partitioned|refusing): /.exec(what)?.[1];
  if (state) return state;
  if (/by hand|configuration/.test(what)) return 'paused';
  if (/partition ended|breaker closed|: up|recovered/.test(what)) return 'normal';
  if (/partitioned|breaker open|: down|failure|cannot/.test(what)) return 'refusing';
  if (/traffic goes|half-open|ramp|throttle/.test(what)) return 'on_fallback';
  return 'idle';
}

// A breaker that tries a dead target again and again would fill the timeline: such a run is one entry, with the number of tries.
function folded(events) {
  const found = [];
  for (const event of events) {
    const target = /^(\S+): breaker (?:open|half-open)\b/.exec(event.what)?.[1];
    const last = found.findLast((entry) => entry.target === target);
    if (target && last && !found.slice(found.indexOf(last) + 1).some((entry) => entry.what.startsWith(`${target}: `))) {
      if (event.what.includes('half-open')) last.tries += 1;
      last.until = event.at_ms;
    } else found.push({ ...event, target, tries: 0 });
  }
  return found;
}

const words = (what) => brief(what).replace(/^(normal|replaying|on_fallback|paused|partitioned|refusing): /, (_, state) => `${STATES[state].name}: `);

export function journal({ status }) {
  const events = folded(status.timeline).slice(-SHOWN).reverse();
  return h('section', { class: 'card journal', 'aria-labelledby': 'journal-title', key: 'journal' },
    h('header', {}, h('h2', { id: 'journal-title' }, 'Timeline'), h('p', { class: 'quiet' }, 'newest first')),
    events.length === 0 && h('p', { class: 'quiet' }, 'Nothing happened since the start.'),
    h('ol', { class: 'events', tabindex: '0', 'aria-label': 'Events' }, events.map((event, index) => h('li', { key: events.length - index, class: `tone-${tone(event.what)}` },
      h('time', { datetime: new Date(event.at_ms).toISOString() }, clock(event.at_ms, status.now_ms)),
      h('span', { title: event.what }, words(event.what), event.tries > 0 && h('span', { class: 'quiet' }, `; tried ${plural(event.tries, 'time', 'times')} since, last at ${clock(event.until, status.now_ms)}`))))));
}

export function doors({ status }) {
  const { doors, reload } = status;
  const accepted = doors.requests.filter(({ outcome }) => outcome === 'accepted' || outcome === 'empty');
  const refused = {};
  for (const { outcome, count: requests } of doors.requests) if (REFUSED[outcome]) refused[outcome] = (refused[outcome] ?? 0) + requests;
  const by = (transport) => sum(accepted.filter((one) => one.transport === transport).map((one) => one.count));
  return h('section', { class: 'card doors', 'aria-labelledby': 'doors-title', key: 'doors' },
    h('header', {}, h('h2', { id: 'doors-title' }, 'Intake')),
    h('dl', { class: 'facts' },
      fact('Requests over gRPC', count(by('grpc'))), fact('Requests over HTTP', count(by('http'))),
      fact('Connections', count(doors.connections)), fact('Requests refused', count(sum(refused)))),
    Object.entries(refused).map(([reason, requests]) => h('p', { key: reason, class: 'reason' }, h('strong', {}, plural(requests, 'request', 'requests')), ` refused: ${REFUSED[reason]}`)),
    !reload.successful && h('p', { class: 'reason tone-refusing strong' }, `The configuration was changed to one that cannot be taken: ${reload.error}. The one before stays in force.`),
    reload.restart_needed.length > 0 && h('p', { class: 'reason' }, `In force from the next start on: ${reload.restart_needed.join(', ')}.`));
}

const fact = (name, value) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, value));
