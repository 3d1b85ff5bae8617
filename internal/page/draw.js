"use strict";
// Drawing one panel with uPlot.
const shakedownDraw = (() => {
	const color = name => {
		const probe = document.createElement("i");
		probe.style.color = "var(" + name + ")";
		document.body.append(probe);
		const c = getComputedStyle(probe).color;
		probe.remove();
		return c;
	};
	const format = (v, unit) => {
		if (v === null || v === undefined) return "";
		const a = Math.abs(v);
		if (unit === "ms" && a >= 1000) { v /= 1000; unit = "s"; }
		else if (unit === "ms" && a > 0 && a < 1) { v *= 1000; unit = "µs"; }
		const b = Math.abs(v);
		const text = b >= 1000 ? Math.round(v).toLocaleString("en") : b >= 100 ? v.toFixed(0) : String(+v.toPrecision(3));
		return text + (unit === "" ? "" : unit === "/s" || unit === "×" ? unit : " " + unit);
	};
	const font = px => px + "px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";

	// Fault bands and phase borders, under the lines.
	const bands = panel => u => {
		const { ctx, bbox: b } = u, dpr = devicePixelRatio;
		const x = v => Math.max(b.left, Math.min(b.left + b.width, u.valToPos(v, "x", true)));
		ctx.save();
		const seen = new Set();
		for (const f of panel.trials.flatMap(t => t.faults)) {
			const key = f.name + Math.round(f.from * 10);
			if (seen.has(key)) continue;
			seen.add(key);
			ctx.fillStyle = color("--fault");
			ctx.fillRect(x(f.from), b.top, x(f.to) - x(f.from), b.height);
		}
		const phases = panel.trials[0] ? panel.trials[0].phases : [];
		ctx.font = font(11 * dpr);
		ctx.textAlign = "left";
		ctx.textBaseline = "bottom";
		ctx.setLineDash([]);
		for (const p of phases) {
			const from = x(p.from), to = x(p.to);
			ctx.strokeStyle = color("--rule");
			ctx.lineWidth = dpr;
			ctx.beginPath(); ctx.moveTo(from, b.top - 14 * dpr); ctx.lineTo(from, b.top + b.height); ctx.stroke();
			const faulty = panel.trials[0].faults.some(f => f.from < p.to && f.to > p.from + (p.to - p.from) / 100);
			ctx.fillStyle = color(faulty ? "--fault-ink" : "--soft");
			if (ctx.measureText(p.name).width + 8 * dpr < to - from) ctx.fillText(p.name, from + 4 * dpr, b.top - 2 * dpr);
		}
		ctx.restore();
	};
	const sloLine = panel => u => {
		const { min, max } = u.scales.y;
		if (!panel.slo || panel.slo < min || panel.slo > max) return;
		const { ctx, bbox: b } = u, dpr = devicePixelRatio, y = u.valToPos(panel.slo, "y", true);
		ctx.save();
		ctx.strokeStyle = ctx.fillStyle = color("--accent");
		ctx.lineWidth = dpr;
		ctx.setLineDash([6 * dpr, 4 * dpr]);
		ctx.beginPath(); ctx.moveTo(b.left, y); ctx.lineTo(b.left + b.width, y); ctx.stroke();
		ctx.font = font(11 * dpr);
		ctx.textAlign = "right"; ctx.textBaseline = "bottom";
		ctx.fillText("SLO " + format(panel.slo, "ms"), b.left + b.width - 4 * dpr, y - 2 * dpr);
		ctx.restore();
	};
	const xAxis = panel => {
		const base = { stroke: color("--soft"), font: font(11), grid: { stroke: color("--faint"), width: 1 }, ticks: { stroke: color("--rule"), size: 4 }, size: 30 };
		if (!panel.nines) return { ...base, values: (u, vs) => vs.map(v => +v.toFixed(3) + " s"), space: 56 };
		const at = [Math.log10(2), 1, 2, 3, 4, 5], names = ["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
		return { ...base, splits: u => at.filter(v => v <= u.scales.x.max + 1e-9), values: (u, vs) => vs.map(v => names[at.indexOf(v)]) };
	};
	const options = (panel, width, legend) => ({
		width, height: panel.height, legend: { show: false }, padding: [panel.time ? 18 : 8, 12, 0, 0],
		cursor: { sync: panel.time ? { key: "time", setSeries: false, scales: ["x", null] } : undefined, y: false, drag: { x: true, y: false, dist: 8 }, points: { size: 7 } },
		scales: {
			x: { time: false, range: (u, a, b) => [panel.nines ? 0 : a, b] },
			y: panel.log ? { distr: 3, range: (u, a, b) => [panel.floor || 10 ** Math.floor(Math.log10(a)), b * 1.4] } : { range: (u, a, b) => [panel.zero ? 0 : a, b > 0 ? b * 1.08 : 1] },
		},
		axes: [xAxis(panel), {
			stroke: color("--soft"), font: font(11), grid: { stroke: color("--faint"), width: 1 }, ticks: { show: false },
			size: 62, values: (u, vs) => vs.map(v => v === null ? "" : format(v, panel.unit)),
			...(panel.log ? { filter: (u, vs) => vs.map(v => Math.abs(Math.log10(v) % 1) < 1e-9 || Math.abs(Math.abs(Math.log10(v) % 1) - 1) < 1e-9 ? v : null) } : {}),
		}],
		series: [{}, ...panel.lines.map(l => ({ label: l.label, stroke: color(l.color), width: l.width || 2, dash: l.dash, spanGaps: false,
			...(l.marks ? { paths: () => null, points: { show: true, size: 8, width: 1.5, fill: color("--card") } } : { points: { show: false } }),
		}))],
		hooks: {
			drawClear: [bands(panel), ...(panel.under ? [panel.under] : [])], // what a panel draws under its lines
			draw: [sloLine(panel)],
			setCursor: [u => legend.forEach((out, i) => {
				const j = u.cursor.idx;
				out.textContent = j === null || j === undefined || u.cursor.left < 0 ? "" : format(u.data[i + 1][j], panel.unit);
			})],
		},
	});
	const legendOf = (panel, list) => panel.lines.map(l => {
		const item = document.createElement("li"), mark = document.createElement("canvas"), out = document.createElement("output");
		mark.width = 36; mark.height = 16;
		const ctx = mark.getContext("2d");
		ctx.strokeStyle = color(l.color); ctx.lineWidth = 2 * (l.width || 2);
		ctx.setLineDash((l.dash || []).map(d => 2 * d));
		ctx.beginPath();
		if (l.marks) ctx.arc(18, 8, 6, 0, 7);
		else { ctx.moveTo(0, 8); ctx.lineTo(36, 8); }
		ctx.stroke();
		mark.setAttribute("aria-hidden", "true");
		item.append(mark, l.label, out);
		list.append(item);
		return out;
	});
	// Trials are scraped at moments of their own: join puts them on one axis, with undefined where a line has no point.
	const table = lines => uPlot.join(lines.map(l => [l.x, l.y]));

	return (panel, names, grid) => {
		panel.lines = panel.lines.map(l => ({ ...l, label: l.label || names[l.v], color: l.color || "--v" + (l.v % 8), dash: l.dash || (l.v > 7 ? [6, 3] : undefined) }));
		const figure = document.createElement("figure"), caption = document.createElement("figcaption"), sub = document.createElement("small");
		const list = document.createElement("ul"), host = document.createElement("div");
		figure.className = panel.wide ? "wide" : "";
		figure.id = "chart-" + panel.id;
		caption.append(panel.title, " ", sub);
		sub.textContent = panel.sub;
		list.className = "legend";
		host.className = "plot";
		host.tabIndex = 0;
		host.setAttribute("role", "img");
		host.setAttribute("aria-label", panel.title + ", " + panel.sub + ": " + panel.lines.map(l => l.label).join(", "));
		figure.append(caption, list, host);
		grid.append(figure);
		const u = new uPlot(options(panel, Math.max(200, host.clientWidth), legendOf(panel, list)), table(panel.lines), host);
		host.addEventListener("keydown", e => {
			const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
			if (!step) return;
			e.preventDefault();
			const xs = u.data[0], now = u.cursor.idx === null || u.cursor.idx === undefined ? (step > 0 ? -1 : xs.length) : u.cursor.idx;
			const to = Math.max(0, Math.min(xs.length - 1, now + step));
			u.setCursor({ left: u.valToPos(xs[to], "x"), top: 10 });
		});
		return { u, host, time: panel.time };
	};
})();
