// Makes all text transparent and nothing else: only its fill, so that borders and backgrounds in the text's colour stay.
// `clipped`: some text is filled by its background (background-clip: text), so that background is removed as well.
(clipped) => {
  const css = `*, *::before, *::after, *::marker, *::placeholder, *::first-line, *::first-letter {
    -webkit-text-fill-color: transparent !important; -webkit-text-stroke-color: transparent !important;
    text-shadow: none !important; text-decoration-color: transparent !important; text-emphasis-color: transparent !important; }
    *::marker { color: transparent !important; }
    svg text, svg tspan, svg textPath { fill: transparent !important; stroke: transparent !important; }
    [data-clipped], [data-clipped-before]::before, [data-clipped-after]::after { background: none !important; }`;
  const fills = (element, part) => getComputedStyle(element, part).backgroundClip.includes("text");
  const hide = (root) => {
    const style = document.createElement("style");
    style.textContent = css;
    (root.head || root.documentElement || root).appendChild(style);
    for (const element of root.querySelectorAll("*")) {
      const shadow = element.shadowRoot || (window.__shadows && window.__shadows.get(element));
      if (shadow) hide(shadow);
      if (element.style && element.style.webkitTextFillColor)
        element.style.setProperty("-webkit-text-fill-color", "transparent", "important");
      if (!clipped) continue;
      for (const part of ["", "before", "after"])
        if (fills(element, part && `::${part}`)) element.setAttribute(part ? `data-clipped-${part}` : "data-clipped", "");
    }
  };
  hide(document);
  return true;
}
