// What the states and reasons are called, and what they mean for somebody who reads them for the first time.

export const SIGNALS = ['traces', 'metrics', 'logs'];

export const STATES = {
  normal: { name: 'Normal', means: 'Data comes in, is written to disk before it is acknowledged, and reaches its primary.' },
  replaying: {
    name: 'Replaying',
    means: 'The primary takes data again. It gets what waited, while new data goes on flowing beside it. Nothing has to be done.',
  },
  on_fallback: {
    name: 'On fallback',
    means: 'The primary is away and a fallback takes the data. When the primary returns it gets what only the fallback has, and traffic goes back by itself.',
  },
  paused: {
    name: 'Paused',
    means: 'Somebody stopped delivery by hand. Data still comes in and is kept on disk, until delivery is resumed.',
  },
  partitioned: {
    name: 'Partitioned',
    means: 'None of the targets across the network takes data. What comes in is acknowledged as ever and kept, and goes out once a target is back. Watch when the queue is full.',
  },
  refusing: {
    name: 'Refusing',
    means: 'New requests are turned away with a delay: their senders keep them and come again. What was acknowledged before is on disk.',
  },
};

export const BREAKERS = {
  closed: ['closed', 'traffic may flow'],
  open: ['open', 'nothing is sent, it failed too often'],
  half_open: ['half-open', 'tried out, one request at a time'],
  ramping: ['ramping up', 'traffic grows step by step'],
  forced_open: ['open by hand', 'nothing is sent until somebody closes it'],
  forced_closed: ['closed by hand', 'failures do not open it'],
};

// Why data was removed undelivered.
export const DROPPED = {
  queue_full: 'made room in a full queue (drop_oldest)',
  max_age: 'older than max_age',
  purged: 'purged by hand',
  lost_unsynced: 'power was lost before it was synced',
  store_damage: 'the store was damaged',
  endpoint_error: 'the target’s endpoint refused (on_endpoint_error: drop)',
  strict_otlp: 'refused by a target (strict_otlp)',
};

// Why a batch was set aside for a person to look into.
export const DEAD = {
  refused: 'the target refused it, and took others',
  too_large: 'too large for the target',
  suspect: 'failed again and again, others did not',
  corrupt: 'stored bytes do not match their checksum',
  endpoint_error: 'the target’s endpoint refused (on_endpoint_error: dead)',
  redelivered: 'the target had it already',
};

// Why requests were refused at the doors.
export const REFUSED = {
  unauthenticated: 'without valid credentials',
  malformed: 'not OTLP',
  too_large: 'too large',
  unsupported: 'of an unknown encoding',
  overloaded: 'more at once than memory allows; they come again',
  full: 'while the queue was full; they come again',
  unavailable: 'while the queue took nothing; they come again',
  aborted: 'broken off by the client',
};
