// Runs before the page's scripts: clears the tab, fixes the clock and random numbers, keeps closed shadow roots reachable.
(() => {
  if (window === window.top) {
    // pages share a tab: remove what the previous one left in it
    window.name = "";
    for (const kind of ["sessionStorage", "localStorage"]) {
      try { window[kind].clear(); } catch { /* this page must not use storage */ }
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
})();
