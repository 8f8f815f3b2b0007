// Before any script of the page: a fixed clock, fixed chance, no motion, closed shadow roots kept in reach, and no text
// where the rendered tree does not tell it: form controls are empty, canvases are not shown.
(() => {
  if (window === window.top) {
    // pages share a tab: what the last one left in it
    window.name = "";
    for (const kind of ["sessionStorage", "localStorage"]) {
      try { window[kind].clear(); } catch { /* a page that may not store */ }
    }
  }
  const shadows = new WeakMap();
  Object.defineProperty(window, "__shadows", { value: shadows });
  const attach = Element.prototype.attachShadow;
  Element.prototype.attachShadow = function (options) {
    const root = attach.call(this, options);
    shadows.set(this, root);
    return root;
  };
  let state = 1;
  Math.random = () => (state = (state * 48271) % 2147483647) / 2147483647;
  const fixed = Date.UTC(2024, 0, 15, 9, 30);
  const Real = Date;
  window.Date = class extends Real {
    constructor(...parts) { parts.length ? super(...parts) : super(fixed); }
    static now() { return fixed; }
  };
  addEventListener("DOMContentLoaded", () => {
    const style = document.createElement("style");
    style.textContent = `*, *::before, *::after { animation: none !important; transition: none !important;
      caret-color: transparent !important; scroll-behavior: auto !important; }
    input, textarea, select, ::placeholder { -webkit-text-fill-color: transparent !important; }
    canvas { visibility: hidden !important; }`;
    (document.head || document.documentElement).appendChild(style);
  });
})();
