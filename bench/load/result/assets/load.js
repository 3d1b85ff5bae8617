"use strict";
(() => {
	const data = JSON.parse(document.getElementById("data").textContent), grid = document.getElementById("charts");
	const panels = [
		{ id: "heat", heat: true },
		{ id: "latency", title: "Response time", sub: "due to done, of each interval", wide: true, height: 260, log: true, unit: "ms", time: true, lines: [
			{ label: "p50", x: data.t, y: data.p50, v: 1, width: 1.5 }, { label: "p99", x: data.t, y: data.p99, v: 1, width: 2.5 },
			{ label: "max", x: data.t, y: data.max, color: "--soft", width: 1, dash: [2, 3] }] },
		{ id: "rate", title: "Rate", sub: "per second", height: 230, unit: "/s", time: true, zero: true, lines: [
			{ label: "offered", x: data.t, y: data.offered, color: "--soft", dash: [4, 4], width: 1 }, { label: "ok", x: data.t, y: data.ok, v: 3 },
			{ label: "not ok", x: data.t, y: data.bad, v: 2 }] },
		{ id: "curve", title: "Percentiles", sub: "of response and of service time: the gap is what a generator that waits does not see", height: 230, log: true, unit: "ms", nines: true,
			lines: [{ label: "response", v: 1, ...data.response }, { label: "service", v: 2, dash: [6, 3], ...data.service }] },
		{ id: "inflight", title: "Requests in flight", sub: "", height: 230, unit: "", time: true, zero: true, lines: [{ label: "in flight", x: data.t, y: data.inflight, v: 4 }] },
		{ id: "lag", title: "Send lag", sub: "p99: how late the generator was", height: 230, log: true, unit: "ms", time: true, lines: [{ label: "p99", x: data.t, y: data.lag, v: 5 }] },
	];
	const inks = () => {
		const probe = document.createElement("i");
		document.body.append(probe);
		const of = name => { probe.style.color = "var(" + name + ")"; return getComputedStyle(probe).color; };
		const found = { accent: of("--accent"), soft: of("--soft"), rule: of("--rule") };
		probe.remove();
		return found;
	};
	// A column is an interval, a row an eighth of a decade of response time; the darker, the more of the column's answers.
	const heat = () => {
		const figure = document.createElement("figure"), caption = document.createElement("figcaption"), sub = document.createElement("small"), canvas = document.createElement("canvas");
		figure.className = "wide";
		sub.textContent = "where the answers of each interval lie";
		caption.append("Response times", " ", sub);
		canvas.setAttribute("role", "img");
		canvas.setAttribute("aria-label", "Heat map of response times over time");
		figure.append(caption, canvas);
		grid.append(figure);
		return canvas;
	};
	const drawHeat = canvas => {
		const cols = data.heat, width = Math.max(200, canvas.parentElement.clientWidth - 28), height = 220, dpr = devicePixelRatio;
		canvas.width = width * dpr; canvas.height = height * dpr;
		canvas.style.width = width + "px"; canvas.style.height = height + "px";
		const ctx = canvas.getContext("2d"), ink = inks(), left = 62, bottom = 24;
		ctx.scale(dpr, dpr);
		const used = cols.flatMap(c => Object.keys(c).map(Number));
		if (used.length === 0) return;
		const lo = Math.max(0, Math.min(...used) - 1), hi = Math.max(...used) + 2, w = (width - left) / cols.length, h = (height - bottom) / (hi - lo);
		ctx.fillStyle = ink.accent;
		cols.forEach((c, i) => {
			const sum = Object.values(c).reduce((a, b) => a + b, 0), from = Math.round(left + i * w), to = Math.round(left + (i + 1) * w);
			for (const [row, n] of Object.entries(c)) {
				ctx.globalAlpha = 0.12 + 0.88 * Math.sqrt(n / sum);
				const top = Math.round((height - bottom) - (row - lo + 1) * h), end = Math.round((height - bottom) - (row - lo) * h);
				ctx.fillRect(from, top, to - from, end - top);
			}
		});
		ctx.globalAlpha = 1;
		ctx.fillStyle = ink.soft; ctx.strokeStyle = ink.rule;
		ctx.font = "11px system-ui, sans-serif"; ctx.textAlign = "right"; ctx.textBaseline = "middle";
		for (let row = Math.ceil(lo / data.perDecade) * data.perDecade; row <= hi; row += data.perDecade) {
			const y = (height - bottom) - (row - lo) * h, v = data.fromMS * 10 ** (row / data.perDecade);
			ctx.beginPath(); ctx.moveTo(left, y); ctx.lineTo(width, y); ctx.stroke();
			ctx.fillText(v >= 1000 ? v / 1000 + " s" : v >= 1 ? +v.toPrecision(2) + " ms" : +(v * 1000).toPrecision(2) + " µs", left - 8, y);
		}
		ctx.textAlign = "center"; ctx.textBaseline = "top";
		const length = data.t[data.t.length - 1];
		for (let k = 0; k <= 4; k++) ctx.fillText(+(length * k / 4).toFixed(1) + " s", Math.min(width - 16, left + (width - left) * k / 4), height - bottom + 6);
	};
	const made = [];
	for (const p of panels) {
		if (p.heat) { const canvas = heat(); drawHeat(canvas); made.push(() => drawHeat(canvas)); continue; }
		p.lines = p.lines.filter(l => l.x && l.x.length > 1 && l.y.some(v => v !== null));
		if (p.lines.length === 0) continue;
		const one = shakedownDraw({ trials: [], ...p }, [], grid);
		made.push(() => one.u.setSize({ width: Math.max(200, one.host.clientWidth), height: p.height }));
	}
	addEventListener("resize", () => made.forEach(f => f()));
})();
