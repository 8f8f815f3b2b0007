// Where an ellipsis is drawn, the rendered tree still contains the whole text. So clamped text of several lines ends with its
// last whole line instead, and a single line that is too long for its box is made transparent.
() => {
  const visit = (root) => {
    for (const element of root.querySelectorAll("*")) {
      const shadow = element.shadowRoot || (window.__shadows && window.__shadows.get(element));
      if (shadow) visit(shadow);
      const style = getComputedStyle(element);
      const set = (name, value) => element.style.setProperty(name, value, "important");
      if (style.webkitLineClamp !== "none") {
        const height = element.offsetHeight;
        set("box-sizing", "border-box");
        set("max-height", `${height}px`);
        set("-webkit-line-clamp", "none");
      }
      if (style.textOverflow !== "clip" && element.scrollWidth > element.clientWidth)
        set("-webkit-text-fill-color", "transparent");
    }
  };
  visit(document);
  return true;
}
