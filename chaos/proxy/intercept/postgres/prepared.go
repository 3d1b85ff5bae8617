package postgres

import "bytes"

const (
	// textLimit is how much of a statement's text rules see.
	textLimit = 16 << 10
	// nameLimit is how long the name of a prepared statement or portal may be to be remembered.
	nameLimit = 256
	// preparedLimit bounds the names and texts of a connection. Statements beyond it are not known by their text.
	preparedLimit = 1 << 20
	// portalLimit bounds the portals of a connection.
	portalLimit = 1024
	// overhead of an entry beside its name and text, about.
	overhead = 128
)

// prepared is what a connection has prepared: Parse gives texts to names, Bind names to portals.
type prepared struct {
	statements map[string]*parsed
	portals    map[string]*parsed
	bytes      int
}

// parsed is a prepared statement.
type parsed struct {
	text       []byte
	statements []statement
}

func (p *prepared) parse(name string, text []byte) {
	p.forget(name)
	size := overhead + len(name) + len(text)
	if p.bytes+size > preparedLimit {
		return
	}
	if p.statements == nil {
		p.statements = map[string]*parsed{}
	}
	p.statements[name] = &parsed{text: bytes.Clone(text), statements: split(nil, text)}
	p.bytes += size
}

// forget forgets a statement: it is closed, or another one takes its name.
func (p *prepared) forget(name string) {
	if s, ok := p.statements[name]; ok {
		p.bytes -= overhead + len(name) + len(s.text)
		delete(p.statements, name)
	}
}

// bind makes a portal of a statement; one that is not known makes a portal that is not.
func (p *prepared) bind(portal, statement string) {
	s, ok := p.statements[statement]
	switch {
	case !ok || len(p.portals) >= portalLimit:
		delete(p.portals, portal)
		return
	case p.portals == nil:
		p.portals = map[string]*parsed{}
	}
	p.portals[portal] = s
}

func (p *prepared) closePortal(name string) { delete(p.portals, name) }

// endTransaction closes every portal.
func (p *prepared) endTransaction() { clear(p.portals) }

// command is the execution of a portal.
func (p *prepared) command(portal string) command {
	if s, ok := p.portals[portal]; ok {
		return command{text: s.text, known: true, statements: s.statements}
	}
	return command{}
}

// cstring cuts a zero-terminated string off; ok is false when it does not end within b, or is too long for a name.
func cstring(b []byte) (s string, rest []byte, ok bool) {
	n := bytes.IndexByte(b[:min(len(b), nameLimit)], 0)
	if n < 0 {
		return "", nil, false
	}
	return string(b[:n]), b[n+1:], true
}
