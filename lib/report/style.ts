/** The page's style. Colours are Okabe and Ito's, which stay apart under every common colour blindness. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #16191f; --muted: #5b6472; --line: #c9ced6; --grid: #eaecf0; --shade: #16191f40;
  --blue: #0072b2; --orange: #d55e00; --green: #009e73; --purple: #b3568b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1217; --card: #181c23; --ink: #e9ecf1; --muted: #9aa4b2; --line: #3b434f; --grid: #262c36; --shade: #000000b0;
    --blue: #56b4e9; --orange: #f0863a; --green: #2fbf95; --purple: #d68bb6;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 40px 24px 56px; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 .35rem; }
h2 { font-size: 1.2rem; letter-spacing: -.01em; margin: 2.6rem 0 .9rem; }
h3 { font-size: 1rem; margin: 0 0 .2rem; }
p { margin: 0; }
.lead { color: var(--muted); max-width: 46rem; }
.eyebrow { color: var(--blue); font-size: .8rem; font-weight: 600; letter-spacing: .06em; text-transform: uppercase; }
.verdict { margin-top: 1.1rem; padding: 14px 18px; max-width: 60rem; font-size: 1.15rem; line-height: 1.45; font-weight: 600;
  background: var(--card); border: 1px solid var(--grid); border-left: 5px solid var(--blue); border-radius: 10px;
  overflow-wrap: anywhere; }
.verdict.failed { border-left-color: var(--orange); }
.card { background: var(--card); border: 1px solid var(--grid); border-radius: 14px; padding: 18px 20px; min-width: 0; }
.grid { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); }
.card + .card, .grid + .card, .card + .grid { margin-top: 16px; }
.grid > .card { margin: 0; display: flex; flex-direction: column; }
.grid > .card .plot { width: 100%; margin-top: auto; }
.card.off { opacity: .75; border-style: dashed; border-color: var(--line); background: none; }
.text > :last-child, .card > .legend:last-child { margin-bottom: 0; }
.text { margin-bottom: .8rem; }
@media (min-width: 960px) {
  /* a last card without a neighbour takes the row: words on the left, plot on the right */
  .grid > .card:last-child:nth-child(odd) { grid-column: 1 / -1; flex-direction: row; gap: 36px; }
  .grid > .card:last-child:nth-child(odd) > * { flex: 1; }
}
.caption { color: var(--muted); font-size: .875rem; margin-bottom: .7rem; overflow-wrap: anywhere; }
h1, .lead { overflow-wrap: anywhere; }
section > .lead { margin-bottom: .8rem; }
ul { margin: 0; padding-left: 1.2rem; overflow-wrap: anywhere; }

.tiles { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); margin-top: 1.6rem; }
.tile { background: var(--card); border: 1px solid var(--grid); border-radius: 14px; padding: 14px 16px; }
.tile b { display: block; font-size: 1.65rem; line-height: 1.25; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile span { font-size: .875rem; font-weight: 600; }
.tile small { display: block; color: var(--muted); font-size: .8rem; line-height: 1.35; }
.tile .range { color: var(--ink); font-variant-numeric: tabular-nums; }
.under { margin: .7rem 0 0; overflow-wrap: anywhere; }

.facts { display: grid; gap: 10px 24px; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); margin: 0; }
.facts dt { color: var(--muted); font-size: .8rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }

.split { display: flex; height: 10px; border-radius: 5px; overflow: hidden; background: var(--grid); }
.split i { display: block; }
.split .e { background: var(--purple); }
.split .a { background: var(--green); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: .84rem; color: var(--muted); margin: .5rem 0 .6rem; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 6px; }
.legend i.dash { height: 0; width: 16px; border-radius: 0; border-top: 2px dashed currentColor; vertical-align: middle;
  background: none !important; }
.plot { max-width: 500px; margin: 0 auto; }
.plot svg { display: block; width: 100%; height: auto; }

/* What is wider than the page scrolls; a shadow at an edge says that there is more behind it. */
.scroll { overflow-x: auto; background: linear-gradient(to right, var(--card) 30%, transparent) left / 40px 100%,
    linear-gradient(to left, var(--card) 30%, transparent) right / 40px 100%,
    linear-gradient(to right, var(--shade), transparent) left / 16px 100%,
    linear-gradient(to left, var(--shade), transparent) right / 16px 100%;
  background-repeat: no-repeat; background-attachment: local, local, scroll, scroll; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 7px 10px; border-bottom: 1px solid var(--grid); white-space: nowrap; }
th { color: var(--muted); font-weight: 600; font-size: .8rem; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th.group { text-align: center; }
th.first, td.first { border-left: 1px solid var(--grid); }
tbody tr:last-child td { border-bottom: 0; }
tr.self td { font-weight: 600; }
td.name span { display: inline-block; max-width: 15rem; overflow: hidden; text-overflow: ellipsis; vertical-align: bottom; }
th.first, td.first { padding-left: 10px; }
table.matrix { width: auto; }
.matrix td { text-align: center; min-width: 2.4rem; padding: 6px 4px; border: 1px solid var(--grid); }
.matrix th { border: 0; font-weight: 600; }
.matrix tbody th { text-align: right; padding: 0 10px 0 0; }
.matrix tbody th span { display: inline-block; max-width: 9rem; overflow: hidden; text-overflow: ellipsis; vertical-align: middle; }
.matrix th.up { text-align: center; padding: 0 4px 6px; vertical-align: bottom; }
.matrix th.up span { display: block; margin: 0 auto; max-width: 3.2rem; overflow: hidden; text-overflow: ellipsis; }

.shots { display: grid; gap: 12px 10px; grid-template-columns: repeat(4, minmax(0, 1fr)); margin-top: .8rem; }
.shots.wide { grid-template-columns: repeat(8, minmax(0, 1fr)); }
.rows { display: grid; gap: 16px; margin-top: .8rem; }
.panels { display: grid; gap: 8px; grid-template-columns: repeat(5, minmax(0, 1fr)); }
.panels figure { margin: 0; }
.panels figcaption { color: var(--muted); overflow: hidden; text-overflow: ellipsis; }
.shot.row { max-width: 640px; }
.shot { margin: 0; font-size: .78rem; line-height: 1.35; min-width: 0; }
.shot img { display: block; width: 100%; border-radius: 8px; image-rendering: pixelated; border: 1px solid var(--grid);
  margin-bottom: 5px; }
.shot b { font-size: .95rem; }
.shot .name { display: flex; flex-wrap: wrap; align-items: baseline; column-gap: 4px; }
.shot .name * { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; max-width: 100%; }
.shot .name b { max-width: calc(100% - 1.3em); }
.shot .name.free b { white-space: normal; overflow-wrap: anywhere; max-width: 100%; }
.shot .no { color: var(--orange); font-weight: 600; }
.shot .num { color: var(--muted); font-variant-numeric: tabular-nums; display: block; }
.shot .split { height: 5px; border-radius: 3px; margin: 4px 0 3px; }
.e-text { color: var(--purple); }
.a-text { color: var(--green); }

summary { cursor: pointer; font-weight: 600; }
pre { font: .82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-x: auto; margin: .8rem 0 0; }
footer { color: var(--muted); font-size: .84rem; margin-top: 2.6rem; }
@media (max-width: 560px) {
  main { padding: 24px 14px 40px; }
  h1 { font-size: 1.55rem; }
  .card { padding: 14px; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px; }
  .tile b { font-size: 1.4rem; }
  .facts { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px 14px; }
  .shots { grid-template-columns: repeat(3, minmax(0, 1fr)); }
  .shots.wide { grid-template-columns: repeat(4, minmax(0, 1fr)); }
}
`;
