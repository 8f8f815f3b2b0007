// What cleaning changed in a caption: removed words are struck out, added words are underlined.
import { el, untrusted } from "./dom.js";

const WORDS = 600;
const pieces = (text) => (text.match(/\s+|[\p{L}\p{N}\p{M}]+|[^\s\p{L}\p{N}]/gu) || []);

export function diff(before, after) {
  const a = pieces(before), b = pieces(after);
  if (a.length > WORDS || b.length > WORDS) return null;
  const width = b.length + 1, lengths = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] = a[i] === b[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const runs = [];
  const add = (kind, piece) => { const last = runs[runs.length - 1]; if (last?.[0] === kind) last[1] += piece; else runs.push([kind, piece]); };
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) { add("same", a[i]); i++; j++; }
    else if (j >= b.length || (i < a.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) add("gone", a[i++]);
    else add("new", b[j++]);
  }
  return el("p.text.diff", {}, runs.map(([kind, text]) => (kind === "same" ? untrusted(text, 20000) : el(kind === "gone" ? "del" : "ins", {}, untrusted(text, 20000)))));
}
