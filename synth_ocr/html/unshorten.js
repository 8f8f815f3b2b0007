// The rendered tree tells the whole text where an ellipsis is drawn instead of its end. Text of several lines ends with
// its last whole line, then; one line that is too long for its box is not shown.
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
