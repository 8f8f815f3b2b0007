"use strict";
// Marks the entry of the contents whose section is being read.
{
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) links.get(target.id)?.classList.toggle("here", isIntersecting);
  }, { rootMargin: "-15% 0px -80% 0px" });
  document.querySelectorAll("section[id], article[id]").forEach((part) => observer.observe(part));
}
