"use strict";
// What each chart shows. A panel turns the charted trials into series, or into null when there is nothing to show.
const shakedownPanels = (() => {
	const some = ys => ys.some(y => y !== null);
	const byName = (trials, field) => [...new Set(trials.flatMap(t => Object.keys(t[field] || {})))].sort();
	// Lines of a field that holds {x, y} under a name, one for each trial that has it.
	const named = (trials, field, name, label) =>
		trials.filter(t => (t[field] || {})[name]).map(t => ({ label, v: t.v, trial: t, ...t[field][name] }));

	const latency = s => s.one && some(s.one.p99) && [{
		id: "latency", title: "Response time", sub: "due to done, of " + s.names[s.one.v], wide: true, height: 300, log: true,
		unit: "ms", time: true, trials: [s.one], slo: s.one.slo,
		lines: [
			{ label: "p50", x: s.one.t, y: s.one.p50, v: s.one.v, width: 1.5 },
			{ label: "p99", x: s.one.t, y: s.one.p99, v: s.one.v, width: 2.5 },
			{ label: "max", x: s.one.t, y: s.one.max, color: "--soft", width: 1, dash: [2, 3] },
		],
	}];
	const goodput = s => s.all.some(t => some(t.goodput)) && [{
		id: "goodput", title: "Goodput against offered load", sub: "answers within the SLO, per second", wide: true, height: 260,
		unit: "/s", time: true, zero: true, trials: s.all,
		lines: [{ label: "offered", x: s.all[0].t, y: s.all[0].offered, color: "--soft", dash: [4, 4], width: 1 },
			...s.all.map(t => ({ v: t.v, x: t.t, y: t.goodput }))],
	}];
	const curve = s => s.all.some(t => t.curve.x && t.curve.x.length > 1) && [{
		id: "curve", title: "Percentiles of response time", sub: "judged phases", height: 240, log: true, unit: "ms", nines: true, trials: [],
		// Service time is what a generator that waits for its answers would have reported.
		lines: [...s.all.filter(t => t.curve.x).map(t => ({ v: t.v, ...t.curve })),
			...(s.one && s.one.service.x ? [{ label: "service time of " + s.names[s.one.v], v: s.one.v, marks: true, ...s.one.service }] : [])],
	}];
	const inflight = s => s.all.some(t => some(t.inflight)) && [{
		id: "inflight", title: "Requests in flight", sub: "mean", height: 240, unit: "", time: true, zero: true, trials: s.all,
		lines: s.all.map(t => ({ v: t.v, x: t.t, y: t.inflight })),
	}];
	const attempts = s => byName(s.all, "attempts").flatMap(name => [{
		id: "attempts-" + name, title: "Attempts at " + name, sub: "per second, retries included", height: 200, unit: "/s",
		time: true, zero: true, trials: s.all, lines: named(s.all, "attempts", name),
	}, {
		id: "amplify-" + name, title: "Amplification at " + name, sub: "attempts ÷ arrivals", height: 200, unit: "×",
		time: true, zero: true, trials: s.all, lines: named(s.all, "amplify", name),
	}]);
	const pools = s => {
		const keys = s.one ? Object.keys(s.one.pool || {}) : [];
		return [...new Set(keys.map(k => k.slice(0, k.lastIndexOf("/"))))].sort().map(pool => ({
			id: "pool-" + pool, title: "Pool " + pool, sub: "connections, of " + s.names[s.one.v], height: 220, unit: "", time: true, zero: true,
			trials: [s.one], wide: true,
			lines: [["in_use", "in use", "--v1"], ["idle", "idle", "--v0"], ["waiting", "waiting", "--v2"]]
				.filter(([k]) => s.one.pool[pool + "/" + k]).map(([k, label, color]) => ({ label, color, ...s.one.pool[pool + "/" + k] })),
		}));
	};

	const ofOne = new Set([latency, pools]); // these show the one variant that is picked
	// In the order of the page; the second says what an empty chart would have shown.
	const kinds = [
		[latency, "no request was sent in this trial, so there are no response times"],
		[goodput, "no arrivals were scheduled, so there is no goodput"],
		[curve, "no judged phase has enough requests for percentiles"],
		[inflight, "the recording has no counts of requests in flight"],
		[attempts, "the services exposed no attempts at dependencies"],
		[pools, "the services exposed no connection pool"],
	];
	return state => {
		const panels = [], empty = [];
		for (const [kind, why] of kinds) {
			const made = (kind(state) || []).filter(p => p.lines.some(l => l.x && l.x.length > 1));
			panels.push(...made);
			if (made.length === 0 && (state.one || !ofOne.has(kind))) empty.push(why);
		}
		if (!state.one) empty.unshift("no trial of this variant can be charted at this level");
		return { panels, empty };
	};
})();
