
"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const language = document.documentElement.lang;
  const charts = read("report-charts");
  const drawn = new Map();
  const PRINTED_WIDTH = 640;
  const LETTER_WIDTH = 7;
  const NARROW = 480;

  const whole = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
  const exact = new Intl.NumberFormat(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const formats = {
    integer: (value) => whole.format(value),
    money: (value) => (value === 0 || value >= 100 ? whole : exact).format(value),
  };
  const shown = (format, value) => (typeof value === "number" ? formats[format](value) : value ?? "");
  const formatter = (format) =>
    format === "named"
      ? (item) => `${item.name}: ${shown("integer", item.value[item.value.length - 1])}`
      : (given) => shown(format, given !== null && typeof given === "object" ? given.value : given);

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  /** Names on an axis: in two lines, and no more of them than there is room for. */
  function wrapped(room) {
    const most = Math.floor(room / LETTER_WIDTH);
    const cut = (text) => (text.length > most ? `${text.slice(0, most - 1)}\u2026` : text);
    const formatter = (name) => {
      if (name.length <= most) return name;
      const space = name.lastIndexOf(" ", most);
      const end = space > most / 3 ? space : most;
      return `${name.slice(0, end)}\n${cut(name.slice(end).trim())}`;
    };
    return { formatter, lineHeight: 14 };
  }

  /** The option with colours, formats and widths of names filled in. */
  function fill(node, width) {
    if (typeof node === "string") return node.startsWith("$") ? colour(node.slice(1)) : node;
    if (Array.isArray(node)) return node.map((one) => fill(one, width));
    if (node === null || typeof node !== "object") return node;
    const filled = {};
    for (const [key, value] of Object.entries(node)) {
      if (key === "$names") Object.assign(filled, wrapped(Math.min(260, width * 0.4)));
      else if (key !== "$format") filled[key] = fill(value, width);
      else if ("trigger" in node && value !== "named") filled.valueFormatter = formatter(value);
      else filled.formatter = formatter(value);
    }
    return filled;
  }

  function complete(option, label, width) {
    const text = { color: colour("text"), fontSize: 12 };
    const faint = { color: colour("faint"), fontSize: 12 };
    const base = option.baseOption ?? option;
    const axis = (given) => ({
      ...given,
      splitNumber: width < NARROW ? 3 : 5,
      axisLabel: { ...faint, ...given.axisLabel },
      axisLine: { lineStyle: { color: colour("line") } },
      axisTick: { lineStyle: { color: colour("line") }, ...given.axisTick },
      splitLine: { lineStyle: { color: colour("grid") }, show: given.type === "value" },
    });
    const filled = {
      ...base,
      animation: false,
      backgroundColor: "transparent",
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
      aria: { enabled: true, label: { description: label }, decal: { show: true } },
      legend: { top: 0, left: 0, itemGap: 18, textStyle: text, ...base.legend },
      grid: {
        left: 4, right: 24, bottom: 4, top: base.legend.show ? (base.series.length > 2 && width < NARROW ? 66 : 40) : 16,
        outerBoundsMode: "same", outerBoundsContain: "axisLabel", ...base.grid,
      },
      tooltip: {
        ...base.tooltip, renderMode: "richText", confine: true, backgroundColor: colour("surface"),
        borderColor: colour("line"), textStyle: text,
      },
      xAxis: axis(base.xAxis),
      yAxis: axis(base.yAxis),
    };
    return option.baseOption ? { ...option, baseOption: filled } : filled;
  }

  function draw(width) {
    for (const element of document.querySelectorAll("[data-chart]")) {
      const { option, height, label } = charts[element.dataset.chart];
      element.style.height = `${height}px`;
      const size = width ?? element.clientWidth;
      drawn.get(element)?.dispose();
      const chart = echarts.init(element, null, { renderer: "svg", width: size, height });
      chart.setOption(complete(fill(option, size), label, size));
      drawn.set(element, chart);
    }
  }

  let last = 0;
  const watcher = new ResizeObserver(() => {
    if (document.body.clientWidth === last) return;
    last = document.body.clientWidth;
    draw();
  });
  watcher.observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
  addEventListener("beforeprint", () => draw(PRINTED_WIDTH));
  matchMedia("print").addEventListener("change", (query) => draw(query.matches ? PRINTED_WIDTH : undefined));
  addEventListener("afterprint", () => draw());
})();
