// The page as plain data (h), and the fewest steps that make the document look like it (paint): what has the focus keeps it.

const SVG = 'http://www.w3.org/2000/svg';

// An element to be. Children may be nested lists; null, undefined and false are left out.
export const h = (tag, props, ...children) => ({ tag, props: props ?? {}, children: flat(children) });

const flat = (children) => children.flat(Infinity)
  .filter((child) => child !== null && child !== undefined && child !== false)
  .map((child) => (typeof child === 'object' ? child : String(child)));

// Makes the children of an element look like this.
export function paint(host, children) {
  const wanted = flat([children]);
  const keyed = new Map();
  for (const node of host.childNodes) if (node.key !== undefined) keyed.set(node.key, node);
  let at = host.firstChild;
  for (const child of wanted) {
    let node = at;
    const key = child.props?.key;
    if (key !== undefined) node = keyed.get(key) ?? (at?.key === undefined && fits(at, child) ? at : null);
    else if (node && node.key !== undefined) node = null;
    if (!node || !fits(node, child)) node = make(host, child);
    if (node === at) at = at.nextSibling;
    else host.insertBefore(node, at);
    if (typeof child === 'string') { if (node.data !== child) node.data = child; } else dress(node, child);
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next; }
}

const fits = (node, child) => node !== null && (typeof child === 'string' ? node.nodeType === 3 : node.localName === child.tag);

function make(host, child) {
  if (typeof child === 'string') return document.createTextNode(child);
  const space = child.tag === 'svg' || (host.namespaceURI === SVG && host.localName !== 'foreignObject');
  return space ? document.createElementNS(SVG, child.tag) : document.createElement(child.tag);
}

function dress(node, { props, children }) {
  const worn = node.worn ?? {};
  for (const name of Object.keys(worn)) if (!(name in props)) put(node, name, null);
  for (const [name, value] of Object.entries(props)) if (worn[name] !== value) put(node, name, value);
  node.worn = props;
  if (!props.held) paint(node, children);
}

function put(node, name, value) {
  if (name === 'key') node.key = value;
  else if (name === 'held') return;
  else if (name.startsWith('on')) node[name] = value;
  else if (name === 'style') node.style.cssText = value ?? '';
  else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value === true ? '' : value);
}
