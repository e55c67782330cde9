/**
 * An expression for a page: the texts whose contrast to what is behind them is below that of WCAG's level AA, without those of
 * drawings and of what is switched off.
 */
export const POOR_CONTRASTS = `(() => {
  const numbers = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = numbers(colour).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (one) => {
    if (!one) return 'rgb(255, 255, 255)';
    const colour = getComputedStyle(one).backgroundColor;
    return numbers(colour)[3] === 0 ? behind(one.parentElement) : colour;
  };
  return [...document.querySelectorAll('body *:not(script, noscript, svg *, :disabled)')].flatMap((one) => {
    if (![...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())) return [];
    const [front, back] = [luminance(getComputedStyle(one).color), luminance(behind(one))];
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    return contrast < 4.5 ? [one.tagName + ' ' + one.textContent.slice(0, 40) + ': ' + contrast.toFixed(2)] : [];
  });
})()`;
