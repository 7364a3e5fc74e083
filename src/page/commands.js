// Orders to the gateway. Without a token there is not one button: the gateway would refuse, and so might who looks over a shoulder.

import { h, paint } from './dom.js';

const KEPT = 'spillway.token';

// For this tab alone, until it is closed or told to forget.
export const token = () => { try { return sessionStorage.getItem(KEPT) ?? ''; } catch { return memory; } };
let memory = '';
function keep(value) {
  memory = value;
  try { if (value) sessionStorage.setItem(KEPT, value); else sessionStorage.removeItem(KEPT); } catch { /* in memory, then */ }
}

const asking = (body) => ({
  method: body ? 'POST' : 'GET', cache: 'no-store', credentials: 'omit',
  headers: { authorization: `Bearer ${token()}` }, ...(body && { body: JSON.stringify(body) }),
});

// Whether the token opens the commands: a look that needs it, and changes nothing.
export async function opens() {
  if (!token()) return { fine: false, why: '' };
  try {
    const answer = await fetch('/queue/stats', asking());
    if (answer.status === 401) return { fine: false, why: 'That is not the token of this gateway.' };
    if (answer.status === 403) return { fine: false, why: 'This gateway has no token (admin.token_file): commands come over its socket only, as spillway pause and the like do.' };
    return { fine: true };
  } catch {
    return { fine: false, why: 'The gateway does not answer.' };
  }
}

// The first dead letters of each signal.
export async function deadLetters() {
  const found = [];
  for (const signal of ['traces', 'metrics', 'logs']) {
    const answer = await fetch(`/queue/dead?signal=${signal}`, asking());
    if (answer.ok) found.push(...(await answer.json()).found.map((letter) => ({ ...letter, signal })));
  }
  return found.slice(0, 8);
}

const ORDERS = {
  pause: ['Pause delivery', 'Nothing is sent to any target until delivery is resumed, also after a restart. The doors go on taking data, which is kept on disk.'],
  resume: ['Resume delivery', 'Delivery goes on where it stopped.'],
  'fail-over': ['Fail over', 'Traffic goes to the next target of the chain that takes data. It returns by itself once the primary has proven itself.'],
  'fail-back': ['Fail back', 'Traffic goes back to the primary now, without the stay and the proof that the chain asks for.'],
  unpin: ['Unpin', 'The chains decide again where traffic goes.'],
  pin: ['Pin', 'Everything is sent to this target, whatever its state, until it is unpinned, also after a restart.'],
  open: ['Open breaker', 'Nothing is sent to this target until its breaker is closed or left to decide again.'],
  close: ['Close breaker', 'Failures do not open the breaker of this target until it is left to decide again.'],
  auto: ['Let breaker decide', 'The breaker of this target decides again; if it was opened by hand it is tried out first.'],
};

const button = (command, target) => h('button', { key: command, type: 'button', class: 'order', 'data-command': command, onclick: () => confirm(command, target) },
  ORDERS[command][0], target && h('span', { class: 'unseen' }, ` ${target}`));

export function orders({ status, unlocked, said }) {
  if (!unlocked || !status.by_hand) return null;
  const { pinned, paused_since_ms } = status.by_hand;
  return h('section', { class: 'card orders', 'aria-labelledby': 'orders-title', key: 'orders' },
    h('header', {}, h('h2', { id: 'orders-title' }, 'By hand')),
    h('div', { class: 'buttons' }, button(paused_since_ms === null ? 'pause' : 'resume'), button('fail-over'), button('fail-back'), pinned && button('unpin')),
    h('p', { class: `quiet ${said?.bad ? 'tone-refusing strong' : ''}`, role: 'status', id: 'said' }, said?.text ?? 'Each button asks once more before it acts.'));
}

export function targetButtons({ status, unlocked }, { name, breaker }) {
  if (!unlocked) return null;
  const pinned = status.by_hand.pinned?.target === name;
  return h('div', { class: 'buttons' }, !pinned && button('pin', name), breaker !== 'forced_open' && button('open', name),
    breaker !== 'forced_closed' && button('close', name), breaker.startsWith('forced') && button('auto', name));
}

const dialog = () => document.getElementById('dialog');
let answered = () => {};
// Where it is told what came of an order.
export const tellOf = (hear) => { answered = hear; };

function ask(title, text, ...rest) {
  paint(dialog(), h('form', { method: 'dialog', onsubmit: rest.pop() }, h('h2', { id: 'dialog-title' }, title), text.map((line, key) => h('p', { key }, line)), rest));
  dialog().showModal();
}

const cancel = h('button', { type: 'button', key: 'cancel', class: 'quiet-button', onclick: () => dialog().close() }, 'Cancel');

function confirm(command, target) {
  const [title, text] = ORDERS[command];
  ask(target ? `${title}: ${target}` : title, [text], h('div', { class: 'buttons', key: 'order' }, cancel, h('button', { type: 'submit', class: 'primary' }, title)),
    (event) => { event.preventDefault(); dialog().close(); carryOut(command, target); });
}

async function carryOut(command, target) {
  try {
    const answer = await fetch('/commands/delivery', asking({ command, ...(target && { target }) }));
    const { what, error } = await answer.json();
    const text = what ?? error;
    answered({ text: `${text.charAt(0).toUpperCase()}${text.slice(1)}.`, bad: !answer.ok });
  } catch {
    answered({ text: 'The gateway did not answer; whether it was carried out the timeline will tell.', bad: true });
  }
}

// Asks for the token; done() is called once it opens the commands.
export function unlock(done, why = '') {
  const submit = async (event) => {
    event.preventDefault();
    keep(dialog().querySelector('input').value.trim());
    const { fine, why } = await opens();
    if (fine) { dialog().close(); done(); return; }
    keep('');
    paint(dialog().querySelector('.refusal'), why || 'A token is needed.');
    dialog().querySelector('input').select();
  };
  ask('Token of this gateway', ['It is what the file holds that admin.token_file names. It opens the status to other machines, and commands. This tab alone keeps it, until it is closed.'],
    h('label', { key: 'token' }, 'Token', h('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', required: true, value: '' })),
    h('p', { class: 'refusal', role: 'alert', key: 'refusal', held: true }), h('div', { class: 'buttons', key: 'enter' }, cancel, h('button', { type: 'submit', class: 'primary' }, 'Enter')), submit);
  dialog().querySelector('input').value = '';
  paint(dialog().querySelector('.refusal'), why);
}

export function forget() { keep(''); }
