package intercept

// A Glob is a pattern as in Redis' KEYS: * is any run of characters, ? is one, [a-z] one of a class, [^a] one that is not, and \ lets
// the next character stand for itself. The empty Glob matches everything.
type Glob string

// Match says whether the whole of s is of the pattern. It goes back to the last * only, so that it takes len(s) × len(g) at
// the most.
func (g Glob) Match(s []byte) bool {
	if g == "" {
		return true
	}
	p, i := 0, 0
	star, from := -1, 0 // the last *, and where what follows it was tried
	for i < len(s) {
		if p < len(g) && g[p] == '*' {
			star, from = p, i
			p++
			continue
		}
		if next, ok := g.one(p, s[i]); ok {
			p, i = next, i+1
			continue
		}
		if star < 0 {
			return false
		}
		from++
		p, i = star+1, from
	}
	for p < len(g) && g[p] == '*' {
		p++
	}
	return p == len(g)
}

// one matches a byte with what stands at p, and returns where the pattern goes on.
func (g Glob) one(p int, c byte) (next int, ok bool) {
	if p >= len(g) {
		return p, false
	}
	switch g[p] {
	case '?':
		return p + 1, true
	case '[':
		return g.class(p+1, c)
	case '\\':
		if p+1 < len(g) {
			p++
		}
	}
	return p + 1, g[p] == c
}

// class matches a byte with the class that begins at p. One that does not end ends with the pattern, as in Redis.
func (g Glob) class(p int, c byte) (next int, ok bool) {
	not := p < len(g) && g[p] == '^'
	if not {
		p++
	}
	for p < len(g) && g[p] != ']' {
		if g[p] == '\\' && p+1 < len(g) {
			p++
		}
		lo, hi := g[p], g[p]
		if p+2 < len(g) && g[p+1] == '-' && g[p+2] != ']' {
			hi = g[p+2]
			p += 2
		}
		ok = ok || min(lo, hi) <= c && c <= max(lo, hi)
		p++
	}
	return min(p+1, len(g)), ok != not
}
