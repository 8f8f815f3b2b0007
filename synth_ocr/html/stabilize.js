// Makes the page hold still: no animations, and no text that the rendered tree does not contain (form controls are empty,
// canvases hidden). Waits for fonts and images, at most `wait` milliseconds, and removes content `screens` below the screen.
async ({ wait, screens }) => {
  const style = document.createElement("style");
  style.textContent = `*, *::before, *::after { animation: none !important; transition: none !important;
    caret-color: transparent !important; scroll-behavior: auto !important; }
    input, textarea, select, ::placeholder { -webkit-text-fill-color: transparent !important; }
    canvas { visibility: hidden !important; }`;
  (document.head || document.documentElement).appendChild(style);
  const deadline = new Promise((done) => setTimeout(done, wait));
  await Promise.race([document.fonts.ready, deadline]);
  const limit = innerHeight * screens;
  const root = document.scrollingElement || document.documentElement;
  if (document.body && root.scrollHeight > limit + innerHeight) {
    // not on the screen but costly to describe; collected first, because every removal causes a new layout
    const far = [];
    const walk = (element) => {
      for (const child of element.children) {
        const box = child.getBoundingClientRect();
        if (box.height && box.top > limit) far.push(child);
        else if (box.bottom > limit) walk(child);
      }
    };
    walk(document.body);
    for (const element of far) element.remove();
  }
  const images = [...document.images].slice(0, 200).map((image) => image.decode().catch(() => 0));
  await Promise.race([Promise.all(images), deadline]);
  return true;
}
