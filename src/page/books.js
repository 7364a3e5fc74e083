// The books: every item that was ever acknowledged stands in one row, and what is lost has a reason.

import { h } from './dom.js';
import { ago, bytes, count, plural, sum } from './format.js';
import { lost } from './headline.js';
import { DEAD, DROPPED, SIGNALS } from './words.js';

const ROWS = [
  ['Acknowledged', (books) => books.accepted, 'in'],
  ['Imported by hand', (books) => books.imported, 'in', true],
  ['Delivered', (books) => books.delivered],
  ['Waiting in the queue', (books) => books.queued],
  ['of them owed to the primary', (books) => books.owed, 'sub', true],
  ['Rejected by targets', (books) => books.rejected, '', true],
  ['Dead letters', (books) => sum(books.dead)],
  ['Dropped', (books) => sum(books.dropped)],
];

export function books({ status }) {
  const { signals, imbalance_items, recount, recount_error } = status.books;
  const gone = lost(status);
  const all = (of) => SIGNALS.reduce((total, signal) => total + of(signals[signal]), 0);
  const rows = ROWS.filter(([, of, , optional]) => !optional || all(of) > 0);
  return h('section', { class: 'card books', 'aria-labelledby': 'books-title', key: 'books' },
    h('header', {}, h('h2', { id: 'books-title' }, 'Ledger'),
      h('p', { class: `pill ${gone ? 'tone-refusing' : 'tone-normal'}`, 'data-lost': gone }, gone ? `${count(gone)} lost` : '0 lost')),
    h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'The ledger by signal' },
      h('table', {},
        h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Items'), SIGNALS.map((signal) => h('th', { scope: 'col', key: signal }, signal)), h('th', { scope: 'col' }, 'all'))),
        h('tbody', {}, rows.map(([name, of, kind]) => h('tr', { key: name, class: kind ?? '' },
          h('th', { scope: 'row' }, name),
          SIGNALS.map((signal) => cell(signal, of(signals[signal]))), cell('all', all(of)))))
        ,
        h('tfoot', {}, h('tr', { class: imbalance_items ? 'bad' : '' }, h('th', { scope: 'row' }, 'Unaccounted for'),
          SIGNALS.map((signal) => cell(signal, signals[signal].imbalance_items)), cell('all', imbalance_items))))),
    reasons('Dropped', DROPPED, 'dropped', signals),
    reasons('Dead letter', DEAD, 'dead', signals),
    h('p', { class: 'quiet' },
      recount_error ? `The last recount failed: ${recount_error}` : recount ? `Held against an independent count of the queue ${ago(recount.at_ms, status.now_ms)}.` : 'The queue was not counted independently yet.'));
}

const cell = (key, value) => h('td', { key, class: value === 0 ? 'zero' : '' }, count(value));

function reasons(name, words, account, signals) {
  const found = {};
  for (const signal of SIGNALS) for (const [reason, items] of Object.entries(signals[signal][account])) found[reason] = (found[reason] ?? 0) + items;
  return Object.entries(found).map(([reason, items]) => h('p', { key: `${account}-${reason}`, class: 'reason' }, h('strong', {}, `${name}: ${plural(items, 'item', 'items')}`), `, ${words[reason] ?? reason}`));
}

// Dead letters to look into; which ones, once the token is known.
export function letters({ status, dead }) {
  const { batches, bytes: size } = status.queue.dead_letters;
  return h('section', { class: 'card letters', 'aria-labelledby': 'letters-title', key: 'letters' },
    h('header', {}, h('h2', { id: 'letters-title' }, 'Dead letters'), h('p', { class: `pill ${batches ? 'tone-on_fallback' : 'tone-normal'}` }, batches ? `${count(batches)} to look into` : 'none')),
    batches === 0 && h('p', { class: 'quiet' }, 'Nothing was refused for good. What a target refuses while it takes other data is kept here, whole, for a person to look into.'),
    batches > 0 && h('p', {}, `${plural(batches, 'batch', 'batches')}, ${bytes(size)}. They are kept whole: `, h('code', {}, 'spillway dead ls'), ' lists them, ', h('code', {}, 'spillway dead replay'), ' queues them again.'),
    batches > 0 && dead && h('ul', { class: 'plain' }, dead.map((letter) => h('li', { key: `${letter.signal}/${letter.key}` },
      h('code', {}, `${letter.signal}/${letter.key}`), ` ${plural(letter.items, 'item', 'items')}, ${DEAD[letter.reason] ?? letter.reason}`,
      h('span', { class: 'quiet' }, ` ${letter.target} ${letter.status} ${letter.message}`)))));
}
