// Fonts are there, far parts are gone, images are decoded. Never longer than `wait` milliseconds.
async ({ wait, screens }) => {
  const deadline = new Promise((done) => setTimeout(done, wait));
  await Promise.race([document.fonts.ready, deadline]);
  const limit = innerHeight * screens;
  const root = document.scrollingElement || document.documentElement;
  if (document.body && root.scrollHeight > limit + innerHeight) {
    // not on the screen, but costly to describe; collected first, since every change means a new layout
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
