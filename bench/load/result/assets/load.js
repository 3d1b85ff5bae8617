// The page of a load: its charts. It says in <html data-charts> how many were drawn, for the test that loads it.
(() => {
	const root = document.documentElement, data = JSON.parse(document.getElementById("data").textContent), grid = document.getElementById("grid");
	const edge = bucket => data.fromMS * 10 ** (bucket / data.perDecade);
	const phases = [{ name: "warm-up", from: 0, to: data.warmup }, { name: "measured", from: data.warmup, to: data.end }];
	const trial = { faults: [], phases: phases.filter(p => p.to > p.from) };

	// The heat map lies under the lines of the response times: a column is an interval, a cell a bucket of times; the stronger, the larger
	// its share of the interval's answers. Shares are drawn by their square root, or a tail of one in a thousand would not be seen.
	const used = data.heat.flat().map(([bucket]) => bucket), sums = data.heat.map(cells => cells.reduce((n, [, k]) => n + k, 0));
	const peaks = data.heat.map((cells, i) => Math.max(0, ...cells.map(([, n]) => n / sums[i]))).filter(p => p > 0).sort((a, b) => a - b);
	const strong = peaks[Math.floor(peaks.length / 2)]; // what is drawn strongest: the median of the columns' peaks
	const heat = u => {
		const { ctx, bbox: b } = u, probe = document.createElement("i");
		probe.style.color = "var(--v1)";
		document.body.append(probe);
		ctx.save();
		ctx.beginPath(); ctx.rect(b.left, b.top, b.width, b.height); ctx.clip();
		ctx.fillStyle = getComputedStyle(probe).color;
		probe.remove();
		data.heat.forEach((cells, i) => {
			const left = Math.round(u.valToPos(data.from[i], "x", true)), right = Math.round(u.valToPos(data.t[i], "x", true));
			for (const [bucket, n] of cells) {
				const top = Math.round(u.valToPos(edge(bucket + 1), "y", true)), bottom = Math.round(u.valToPos(edge(bucket), "y", true));
				ctx.globalAlpha = 0.08 + 0.72 * Math.sqrt(Math.min(1, n / sums[i] / strong));
				ctx.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top));
			}
		});
		ctx.restore();
	};

	const panels = [
		{ id: "latency", title: "Response time", sub: "due to done; shaded by the share of answers", wide: true, height: 320, log: true, unit: "ms", time: true,
			trials: [trial], under: heat, floor: used.length ? edge(Math.min(...used)) : undefined, lines: [
				{ label: "p50", x: data.t, y: data.p50, color: "--ink", width: 1.5 }, { label: "p99", x: data.t, y: data.p99, v: 2, width: 2 },
				{ label: "max", x: data.t, y: data.max, color: "--soft", width: 1, dash: [2, 3] }] },
		{ id: "rate", title: "Offered and answered", sub: "per second", height: 240, unit: "/s", time: true, zero: true, trials: [trial], lines: [
			{ label: "offered", x: data.t, y: data.offered, color: "--soft", dash: [4, 4], width: 1 }, { label: "ok", x: data.t, y: data.ok, v: 3 },
			{ label: "not ok", x: data.t, y: data.bad, v: 2 }] },
		{ id: "curve", title: "Percentiles", sub: "the gap is what a generator that waits does not see", height: 240, log: true, unit: "ms", nines: true,
			trials: [], lines: [{ label: "response", v: 1, ...data.response }, { label: "service", v: 2, dash: [6, 3], ...data.service }] },
		{ id: "inflight", title: "Requests in flight", sub: "at the end of each interval", height: 240, unit: "", time: true, zero: true, trials: [trial],
			lines: [{ label: "in flight", x: data.t, y: data.inflight, v: 4 }] },
		{ id: "lag", title: "Send lag", sub: "p99: how late the generator was", height: 240, log: true, unit: "ms", time: true, trials: [trial],
			lines: [{ label: "p99", x: data.t, y: data.lag, v: 5 }] },
	];
	let shown = [];
	const draw = () => {
		for (const c of shown) c.u.destroy();
		grid.style.minHeight = grid.offsetHeight + "px"; // the page keeps its place while charts are replaced
		grid.replaceChildren();
		const full = panels.map(p => ({ ...p, lines: p.lines.filter(l => l.x && l.x.length > 1 && l.y.some(v => v !== null)) }));
		shown = full.filter(p => p.lines.length > 0).map(p => shakedownDraw(p, [], grid));
		shakedownFollow(shown);
		grid.style.minHeight = "";
		root.dataset.charts = shown.length;
	};
	draw();
	shakedownFrame(draw, () => shown, grid);
})();
