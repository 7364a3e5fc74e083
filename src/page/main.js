// Puts the page together: what the gateway tells goes into the model, and the page is drawn from the model.

import { books, letters } from './books.js';
import { chart, pace } from './chart.js';
import { deadLetters, forget, opens, orders, tellOf, token, unlock } from './commands.js';
import { h, paint } from './dom.js';
import { listen } from './feed.js';
import { duration } from './format.js';
import { headline } from './headline.js';
import { doors, journal } from './journal.js';
import { path } from './path.js';
import { queue } from './queue.js';
import { nextTheme, theme } from './theme.js';
import { STATES } from './words.js';

const model = { status: null, history: null, seen: [], link: 'connecting', unlocked: false, said: null, dead: null, chart: {} };
const at = (id) => document.getElementById(id);
const KEPT = 10; // the last frames, for the pace of each target

function draw() {
  const { status } = model;
  const state = status?.headline.state;
  document.title = status ? `${STATES[state].name} · ${status.cluster || 'spillway'}` : 'spillway';
  paint(at('top'), top());
  paint(at('main'), [notice(), status ? sections() : waiting()]);
  paint(at('foot'), status && foot(status));
  const word = status ? `${STATES[state].name}. ${status.headline.why}` : '';
  const width = at('plot')?.clientWidth;
  if (width && width !== model.chart.width) { model.chart.width = width; draw(); }
  if (model.announced !== state) { model.announced = state; paint(at('announce'), word); }
}

function top() {
  const { status, link } = model;
  const links = { live: 'live', connecting: 'connecting', full: 'no seat', token: 'token needed', local: 'not shown here', lost: 'connection lost' };
  return [
    h('p', { class: 'brand', key: 'brand' }, h('img', { src: '/page/icon.svg', alt: '', width: 26, height: 26 }), h('span', {}, 'spillway'), status?.cluster && h('span', { class: 'cluster' }, status.cluster)),
    h('p', { class: `link ${link}`, id: 'link', key: 'link' }, links[link]),
    h('button', { type: 'button', key: 'theme', id: 'theme', 'aria-label': `Colors: ${theme()}. Change`, onclick: () => { nextTheme(); draw(); } }, icon(theme()), { auto: 'Auto', light: 'Light', dark: 'Dark' }[theme()]),
    h('button', { type: 'button', key: 'token', id: 'token', onclick: model.unlocked ? lock : () => unlock(unlocked) }, icon('key'), model.unlocked ? 'Forget token' : 'Enter token'),
  ];
}

const ICONS = {
  auto: 'M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16',
  light: 'M12 8a4 4 0 1 0 0 8a4 4 0 0 0 0-8M12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4',
  dark: 'M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10z',
  key: 'M8.5 19a4.5 4.5 0 1 0 0-9a4.5 4.5 0 0 0 0 9M12 11.5L19.5 4M16 7.5l3 3',
};
const icon = (name) => h('svg', { class: `icon ${name}`, viewBox: '0 0 24 24', 'aria-hidden': 'true' }, h('path', { d: ICONS[name] }));

function notice() {
  const { link, status } = model;
  const text = {
    lost: status ? 'The gateway does not answer. What you see is as it was when it last did; trying again.' : 'The gateway does not answer; trying again.',
    full: 'As many pages as this gateway serves are open already; trying again.',
    token: 'From another machine the status is shown to who has the token of this gateway.',
    local: 'This gateway has no token (admin.token_file), so its status is shown on its own machine only. In a cluster: kubectl port-forward.',
  }[link];
  return text && h('div', { class: `card notice ${link}`, role: 'alert', key: 'notice' }, h('p', {}, text),
    link === 'token' && h('button', { type: 'button', class: 'primary', onclick: () => unlock(unlocked) }, 'Enter token'));
}

const waiting = () => h('section', { class: 'card waiting', key: 'waiting', 'aria-busy': 'true' }, h('h1', {}, 'spillway'), h('p', { class: 'quiet' }, 'Asking the gateway how it does.'));

function sections() {
  const { status, link } = model;
  model.pace = pace(model);
  const parts = status.queue ? [
    orders(model), path(model),
    h('div', { class: 'columns wide', key: 'story' }, chart(model, draw), journal(model)),
    h('div', { class: 'columns', key: 'state' }, queue(model), books(model)),
    h('div', { class: 'columns', key: 'rest' }, letters(model), doors(model)),
  ] : null;
  return h('div', { class: `sections ${link === 'live' ? '' : 'stale'}`, key: 'sections' }, headline(model), parts);
}

const foot = (status) => [
  h('p', { key: 'version' }, `spillway ${status.version} (${status.commit}), up ${duration(status.uptime_seconds)}`),
  h('p', { key: 'doors' }, ['grpc', 'http', 'admin'].filter((door) => status.endpoints[door]).map((door) => h('span', { key: door }, `${door} ${status.endpoints[door]} `))),
  h('p', { key: 'more' }, h('a', { href: '/status' }, 'status as JSON'), ' ', h('a', { href: '/metrics' }, 'metrics')),
];

async function unlocked() {
  model.unlocked = (await opens()).fine;
  model.said = null;
  draw();
  feed.restart();
}

function lock() {
  forget();
  Object.assign(model, { unlocked: false, said: null, dead: null });
  draw();
  feed.restart();
}

let letterCount = 0;
async function look(status) {
  const batches = status.queue?.dead_letters.batches ?? 0;
  if (!model.unlocked || (batches === letterCount && model.dead)) return;
  letterCount = batches;
  model.dead = batches ? await deadLetters() : [];
  draw();
}

tellOf((said) => { model.said = said; draw(); });
const feed = listen({
  token,
  link(state) { if (model.link !== state) { model.link = state; draw(); } },
  tell(name, data) {
    if (name === 'history') { model.history = data; return; }
    if (name !== 'status') return;
    model.status = data;
    if (model.seen.at(-1)?.started_ms !== data.started_ms) model.seen = [];
    model.seen = [...model.seen, data].slice(-KEPT);
    draw();
    look(data).catch(() => {});
  },
});
window.addEventListener('resize', draw);
if (token()) opens().then(({ fine }) => { model.unlocked = fine; draw(); });
draw();
