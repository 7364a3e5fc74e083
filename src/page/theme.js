// Light, dark, or as the system has it. The choice is remembered by this browser.

const NAME = 'spillway.theme';
const CHOICES = ['auto', 'light', 'dark'];

const kept = () => { try { return localStorage.getItem(NAME); } catch { return null; } };
let chosen = CHOICES.includes(kept()) ? kept() : 'auto';

const wear = () => {
  if (chosen === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
};
wear();

export const theme = () => chosen;

export function nextTheme() {
  chosen = CHOICES[(CHOICES.indexOf(chosen) + 1) % CHOICES.length];
  try { localStorage.setItem(NAME, chosen); } catch { /* a browser that keeps nothing: it holds until the page is closed */ }
  wear();
}
