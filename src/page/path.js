// The way of the data as a picture: who sends, the queue, and each target with its breaker.

import { h } from './dom.js';
import { ago, brief, bytes, clock, count, duration, plural, rate, sum, trip } from './format.js';
import { targetButtons } from './commands.js';
import { queued } from './headline.js';
import { BREAKERS, SIGNALS } from './words.js';

export function path(model) {
  const { status, pace } = model;
  const targets = status.targets.map((target) => ({ ...target, ...standing(status, target), pace: pace?.targets[target.name] }));
  const refusing = status.headline.state === 'refusing';
  const incoming = refusing ? 'broken' : pace?.accepted > 0 ? 'flowing' : 'ready';
  return h('section', { class: 'card path', 'aria-labelledby': 'path-title', key: 'path' },
    h('header', {}, h('h2', { id: 'path-title' }, 'The way of the data'),
      status.by_hand.pinned && h('p', { class: 'pill tone-paused' }, `pinned to ${status.by_hand.pinned.target} by hand`)),
    h('div', { class: 'stations' },
      clients(status, pace, refusing),
      wires([incoming], 'in'),
      store(status),
      wires(targets.map((target) => target.wire), 'out'),
      h('ul', { class: 'targets' }, targets.map((target) => card(model, target)))));
}

// One line to each target; they meet in the middle of the other side.
const wires = (states, side) => h('svg', { class: `wires ${side}`, viewBox: `0 0 100 ${states.length * 100}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
  states.map((state, index) => {
    const [from, to] = [states.length * 50, index * 100 + 50];
    return h('path', { key: index, class: `wire ${state}`, d: `M0 ${from}C50 ${from} 50 ${to} 100 ${to}` });
  }));

function clients(status, pace, refusing) {
  const { doors } = status;
  const refused = sum(doors.refused_items);
  return h('div', { class: 'station' },
    h('h3', {}, 'Clients'),
    h('p', { class: 'big' }, rate(pace?.accepted), h('small', {}, ' items/s')),
    h('p', {}, plural(doors.connections, 'connection', 'connections')),
    refusing && h('p', { class: 'tone-refusing strong' }, 'turned away for now'),
    !refusing && refused > 0 && h('p', {}, `${count(refused)} items refused`));
}

function store(status) {
  const { used_bytes, capacity_bytes } = status.queue;
  const share = capacity_bytes ? used_bytes / capacity_bytes : 0;
  const level = share >= 0.9 ? 'tone-refusing' : share >= 0.6 ? 'tone-on_fallback' : 'tone-normal';
  return h('div', { class: 'station queue-station' },
    h('div', { class: `tank ${level}`, 'aria-hidden': 'true' }, h('div', { class: 'level', style: `height: ${Math.max(share * 100, used_bytes ? 2 : 0)}%` })),
    h('div', {},
      h('h3', {}, 'Queue on disk'),
      h('p', { class: 'big' }, count(queued(status)), h('small', {}, ' items')),
      h('p', {}, `${bytes(used_bytes)} of ${bytes(capacity_bytes)}`)));
}

// How a target stands: a word for it, its tone, how its line looks, and which signals go there.
function standing(status, target) {
  const member = SIGNALS.filter((signal) => status.chains[signal].targets.includes(target.name));
  const active = member.filter((signal) => status.chains[signal].active === target.name);
  const paused = status.by_hand.paused_since_ms !== null;
  const open = ['open', 'forced_open'].includes(target.breaker);
  const told = (word, tone, wire) => ({ word, tone, wire, active, member });
  if (target.misconfigured.length) return told(`refuses ${target.misconfigured.join(', ')}`, 'refusing', 'broken');
  if (target.breaker === 'half_open') return told('being tried out', 'on_fallback', 'trying');
  if (open || !target.up) return told('away', 'refusing', 'broken');
  if (paused) return told('paused', 'paused', 'ready');
  if (active.length) return told(target.breaker === 'ramping' ? 'coming back' : 'takes data', 'normal', 'flowing');
  return told(target.breaker === 'ramping' ? 'coming back' : 'stands by', 'idle', 'ready');
}

function card(model, target) {
  const { status } = model;
  const now = status.now_ms;
  const [breaker, meaning] = BREAKERS[target.breaker] ?? [target.breaker, ''];
  const error = target.last_error;
  const recent = error && (target.last_success_ms === null || error.at_ms > target.last_success_ms);
  return h('li', { key: target.name, class: `target tone-${target.tone}`, 'data-target': target.name },
    h('div', { class: 'inner' },
      h('div', { class: 'title' },
        h('h3', {}, target.name),
        h('span', { class: 'role' }, target.kind === 'file' ? `${target.role}, a file` : target.role),
        target.cluster && h('span', { class: 'role' }, target.cluster),
        h('span', { class: 'signals' }, target.member.map((signal) => h('span', { key: signal, class: target.active.includes(signal) ? 'on' : '' }, signal,
          h('span', { class: 'unseen' }, target.active.includes(signal) ? ' goes here' : ' does not go here')))),
        h('span', { class: 'pill' }, target.word)),
      h('dl', { class: 'facts' },
        fact('Breaker', h('abbr', { title: meaning }, breaker)),
        fact('Throughput', target.pace === undefined ? '–' : h('abbr', { title: 'items a second' }, `${rate(target.pace)}/s`)),
        fact('Round trip', trip(target.round_trip_seconds)),
        fact('In flight', `${count(target.inflight)} of ${count(target.concurrency)}`),
        fact('Last success', target.last_success_ms === null ? 'none yet' : ago(target.last_success_ms, now)),
        target.retry_in_seconds > 0 && fact('Next try', `in ${duration(Math.ceil(target.retry_in_seconds))}`),
        target.next_probe_in_seconds !== null && fact('Next probe', target.next_probe_in_seconds > 0 ? `in ${duration(Math.ceil(target.next_probe_in_seconds))}` : 'now')),
      error && h('p', { class: `error ${recent ? 'recent' : ''}` }, h('span', {}, recent ? `Failing, ${ago(error.at_ms, now)}` : `Last error, ${clock(error.at_ms, now)}`), ' ', h('q', { title: error.what }, brief(error.what))),
      targetButtons(model, target)));
}

const fact = (name, value) => h('div', { key: name }, h('dt', {}, name), h('dd', {}, value));
