// Draws the plots of a report: each <figure class="plot"> holds its data as JSON, and `form` names a function below.
"use strict";
(() => {
  const COLOURS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)", "var(--c7)", "var(--c8)", "var(--c9)"];
  const colours = (names) => ({ domain: names, range: names.map((_, at) => COLOURS[at % COLOURS.length]) });
  const steps = (names) => names.map((_, at) => d3.interpolateYlOrRd(0.1 + (0.9 * at) / Math.max(1, names.length - 1)));
  const short = (value) =>
    Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 0.01) ? d3.format(".3~s")(value) : d3.format(",.4~g")(value);
  const whole = (value) => (Number.isInteger(value) ? short(value) : "");
  const rough = (value) => (Math.abs(value) >= 1e4 ? d3.format(".2~s")(value) : d3.format(",.2~r")(value));
  const widest = (names) => Math.min(220, 24 + 7 * Math.max(0, ...names.map((name) => String(name).length)));
  const common = (data, width) => ({
    width,
    height: data.height ?? Math.round(Math.max(190, Math.min(300, width * 0.4))),
    marginLeft: 62,
    marginBottom: 38,
    style: { background: "transparent", fontSize: "12px", overflow: "visible" },
  });
  const axis = (data, name) => ({ label: data[name] ?? null, labelArrow: "none" });

  function shades(data) {
    return (data.bands ?? []).flatMap(({ kind, spans }) => [
      Plot.rectX(spans, { x1: "0", x2: "1", fill: `var(--${kind})`, ariaHidden: "true" }),
    ]);
  }

  function lines(data, width) {
    const names = data.series.map((one) => one.name);
    const points = data.series.flatMap((one) => one.y.map((y, at) => ({ x: (one.x ?? data.x)[at], y, name: one.name })));
    const known = points.filter((one) => one.y != null);
    const marks = shades(data);
    if (data.spread)
      marks.push(Plot.areaY(data.x, { x: data.x, y1: data.spread.low, y2: data.spread.high, fill: "currentColor", fillOpacity: 0.16 }));
    const one = known.length <= 2 * names.length; // a single column would be an invisible line
    marks.push(Plot.line(points, { x: "x", y: "y", z: "name", stroke: "name", strokeWidth: 1.6 }));
    if (one || data.dots) marks.push(Plot.dot(known, { x: "x", y: "y", fill: "name", r: 3 }));
    marks.push(Plot.tip(known, Plot.pointer({ x: "x", y: "y", stroke: "name", format: { x: short, y: short } })));
    const y = data.log ? { type: "log", tickFormat: short } : { zero: true, tickFormat: short };
    return Plot.plot({
      ...common(data, width),
      x: { ...axis(data, "xLabel"), tickFormat: data.whole ? whole : short, nice: false },
      y: { ...axis(data, "yLabel"), grid: true, ticks: 5, ...y },
      color: { ...colours(names), legend: names.length > 1 },
      marks,
    });
  }

  function percentiles(data, width) {
    const place = (percent) => -Math.log10(1 - percent / 100);
    const percent = (nines) => `${+(100 - 100 * 10 ** -nines).toPrecision(3 + Math.ceil(nines))}`;
    const names = data.series.map((one) => one.name);
    const points = data.series.flatMap((one) => one.y.map((y, at) => ({ x: one.x[at], y, percent: percent(one.x[at]), name: one.name })));
    const last = d3.max(points, (one) => one.x) ?? 1;
    const marked = [0, 50, 90, 99, 99.9, 99.99, 99.999, 99.9999, 99.99999, 99.999999].filter((one) => place(one) <= last + 0.01);
    return Plot.plot({
      ...common(data, width),
      x: { label: "percentile", labelArrow: "none", ticks: marked.map(place), tickFormat: (_, at) => `${marked[at]}`, grid: true },
      y: { ...axis(data, "yLabel"), type: "log", grid: true, ticks: 5, tickFormat: short },
      color: { ...colours(names), legend: names.length > 1 },
      marks: [
        Plot.line(points, { x: "x", y: "y", z: "name", stroke: "name", curve: "step-before", strokeWidth: 1.6 }),
        Plot.tip(points, Plot.pointerX({ x: "x", y: "y", stroke: "name", channels: { percentile: "percent" }, format: { x: false, y: short } })),
      ],
    });
  }

  function heat(data, width) {
    const { rows, columns, span, low, high, log } = data;
    const value = log ? (level) => low * (high / low) ** (level / 253) : (level) => low + ((high - low) * level) / 253;
    const levels = Array.from(atob(data.levels), (char) => char.charCodeAt(0));
    const values = Float64Array.from(levels, (level) => (level > 253 ? NaN : value(level)));
    const silent = levels.includes(254) ? levels.map((level) => (level === 254 ? "#8a8a8a" : null)) : null;
    // Columns are of the same length, but the last one may reach beyond the end.
    const place = { width: columns, height: rows, x1: data.from, x2: data.from + columns * span, y1: 0, y2: rows, clip: true, imageRendering: "pixelated" };
    const middle = log ? Math.sqrt(low * high) : (low + high) / 2;
    const marks = [low, middle, high];
    const every = Math.max(1, Math.ceil(data.ticks.length / 24));
    const ticks = data.ticks.filter((_, at) => at % every === 0);
    const label = new Map(ticks.map((one) => [one.at, one.label]));
    return Plot.plot({
      ...common(data, width),
      height: Math.min(560, Math.max(150, rows * (rows > 64 ? 2 : 14) + 60)),
      marginLeft: Math.max(62, widest(ticks.map((one) => one.label))),
      x: { ...axis(data, "xLabel"), domain: [data.from, data.to], tickFormat: short },
      y: { ...axis(data, "yLabel"), domain: data.down ? [rows, 0] : [0, rows], ticks: [...label.keys()], tickFormat: (at) => label.get(at) ?? "" },
      color: { type: log ? "log" : "linear", domain: [low, high], scheme: data.scheme, label: data.label, legend: true, tickFormat: rough, ticks: marks },
      marks: [
        Plot.raster(values, place),
        ...(silent ? [Plot.raster(silent, place)] : []),
        Plot.frame({ stroke: "currentColor", strokeOpacity: 0.4 }),
      ],
    });
  }

  function stacked(data, width) {
    const parts = data.rows.flatMap((row, at) => data.parts.map((part, of) => ({ row, part, value: data.values[at][of] })));
    return Plot.plot({
      ...common(data, width),
      height: 60 + 20 * data.rows.length,
      marginLeft: widest(data.rows),
      x: { ...axis(data, "xLabel"), grid: true },
      y: { label: null, domain: data.rows },
      color: { ...(data.ordered ? { domain: data.parts, range: steps(data.parts) } : colours(data.parts)), legend: true },
      marks: [Plot.barX(parts, { x: "value", y: "row", fill: "part", inset: 1, order: data.parts, tip: { format: { x: short } } })],
    });
  }

  function bars(data, width) {
    const names = data.names;
    const known = data.bars.filter((one) => one.value != null);
    const across = width < 560 && data.groups.length > 4; // on a phone, groups stand below one another
    const [value, name, group, gap] = across ? ["x", "y", "fy", "insetTop"] : ["y", "x", "fx", "insetLeft"];
    const bar = across ? Plot.barX : Plot.barY;
    const rule = across ? Plot.ruleY : Plot.ruleX;
    const place = { [group]: "group", [name]: "name" };
    return Plot.plot({
      ...common(data, width),
      ...(across ? { height: 50 + data.groups.length * (14 * names.length + 10), marginLeft: widest(data.groups), marginRight: 20 } : {}),
      [value]: { ...axis(data, "valueLabel"), grid: true, tickFormat: short, ticks: 5 },
      [name]: { axis: null, domain: names },
      [group]: { ...(across ? { label: null, axis: "left" } : axis(data, "groupLabel")), domain: data.groups },
      color: { ...colours(names), legend: true },
      marks: [
        bar(known, { ...place, [value]: "value", fill: "name", [gap]: 1, tip: { format: { [value]: (size, at) => (known[at].least ? "≥ " : "") + short(size) } } }),
        rule(known.filter((one) => one.low != null), { ...place, [`${value}1`]: "low", [`${value}2`]: "high", stroke: "currentColor", strokeWidth: 1.8 }),
        Plot.text(data.bars.filter((one) => one.value == null), { ...place, [value]: () => 0, text: (one) => one.why ?? "-", rotate: across ? 0 : -90, textAnchor: "start", dx: across ? 4 : 0, dy: across ? 0 : -4 }),
        (across ? Plot.ruleX : Plot.ruleY)([0]),
      ],
    });
  }

  function dots(data, width) {
    const rows = data.rows.map((one) => one.name);
    const some = data.rows.filter((one) => one.low != null && one.high != null);
    const open = data.rows.filter((one) => one.open); // nothing is known above
    const kinds = [...new Set(data.rows.map((one) => one.kind ?? ""))];
    const ends = data.rows.flatMap((one) => [one.value, one.low, one.high]).filter((one) => one != null);
    // Around a reference, differences of less than a few percent must not look large.
    const domain = data.reference == null ? undefined : [d3.min([...ends, data.reference * 0.95]), d3.max([...ends, data.reference * 1.05])];
    const far = domain ? domain[1] : d3.max(ends);
    return Plot.plot({
      ...common(data, width),
      height: 64 + 22 * new Set(rows).size,
      marginLeft: widest(rows),
      marginRight: 30,
      x: { ...axis(data, "xLabel"), grid: true, type: data.log ? "log" : "linear", tickFormat: short, ticks: 6, nice: true, ...(domain ? { domain } : {}) },
      y: { label: null, domain: [...new Set(rows)] },
      color: { ...colours(kinds), legend: kinds.length > 1 },
      marks: [
        ...(data.reference == null ? [] : [Plot.ruleX([data.reference], { strokeDasharray: "4 3" })]),
        Plot.ruleY(some, { y: "name", x1: "low", x2: "high", strokeWidth: 2.5, stroke: (one) => one.kind ?? "" }),
        Plot.ruleY(open.filter((one) => one.low != null), { y: "name", x1: "low", x2: () => far, strokeWidth: 2.5, stroke: (one) => one.kind ?? "" }),
        Plot.text(open, { y: "name", x: () => far, text: () => "→", textAnchor: "start", fontSize: 16 }),
        Plot.dot(data.rows, { y: "name", x: "value", r: 4.5, fill: (one) => one.kind ?? "", tip: { format: { x: short, fill: false } } }),
      ],
    });
  }

  function points(data, width) {
    const kinds = data.kinds;
    return Plot.plot({
      ...common(data, width),
      x: { ...axis(data, "xLabel"), tickFormat: data.whole ? whole : short, grid: true, nice: true },
      y: { ...axis(data, "yLabel"), tickFormat: short, grid: true, zero: true, ticks: 5 },
      color: { ...colours(kinds), legend: true },
      symbol: { domain: kinds },
      marks: [
        ...shades(data),
        ...(data.line ? [Plot.line(data.line, { x: "0", y: "1", stroke: "currentColor", strokeDasharray: "4 3", strokeOpacity: 0.7 })] : []),
        Plot.dot(data.points, { x: "x", y: "y", fill: "kind", symbol: "kind", r: 5, stroke: "var(--paper)", strokeWidth: 0.6, channels: { run: "name" }, tip: { format: { x: short, y: short } } }),
      ],
    });
  }

  const FORMS = { lines, percentiles, heat, stacked, bars, dots, points };

  function draw(figure) {
    if (figure.parentElement.closest("details:not([open])")) return; // drawn when it is opened
    const place = figure.querySelector(".drawn");
    const width = Math.round(place.clientWidth);
    if (!width || figure.dataset.width === String(width)) return;
    figure.dataset.width = String(width);
    const data = JSON.parse(figure.querySelector("script").textContent);
    const drawn = FORMS[data.form](data, Math.max(280, width));
    for (const svg of drawn.tagName === "svg" ? [drawn] : drawn.querySelectorAll("svg")) {
      svg.removeAttribute("aria-label");
      svg.setAttribute("aria-hidden", "true"); // the place says what the plot shows
    }
    place.replaceChildren(drawn);
  }

  const drawAll = () => document.querySelectorAll("figure.plot").forEach(draw);
  drawAll();
  document.addEventListener("toggle", drawAll, true);
  let waits = 0;
  addEventListener("resize", () => {
    clearTimeout(waits);
    waits = setTimeout(drawAll, 150);
  });
  document.documentElement.dataset.drawn = "yes";
})();
