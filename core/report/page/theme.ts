import { element } from './dom.js';

type Theme = 'light' | 'dark';

/**
 * A button that turns the page dark or light; until it is pressed, the page is as the system wants pages to be.
 * @param changed is called when colours are others
 */
export function themeButton(changed: () => void): HTMLElement {
  const wanted = matchMedia('(prefers-color-scheme: dark)');
  const button = element('button', { type: 'button', id: 'theme' });
  let chosen: Theme | null = null;
  const apply = () => {
    const theme = chosen ?? (wanted.matches ? 'dark' : 'light');
    document.documentElement.dataset.theme = theme;
    button.textContent = theme === 'dark' ? 'Light colours' : 'Dark colours';
    changed();
  };
  button.addEventListener('click', () => {
    chosen = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
    apply();
  });
  wanted.addEventListener('change', apply);
  apply();
  return button;
}
