package toxiproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"slices"

	"shakedown/chaos"
	"shakedown/chaos/proxy/toxiproxy/toxics"
)

// effectID is the id of the effect that a toxic is.
func effectID(t *toxics.ToxicWrapper) string { return "toxic/" + t.Name }

// list are the proxy's toxics, those of the upstream direction first.
func (p *Proxy) list() []*toxics.ToxicWrapper {
	all := []*toxics.ToxicWrapper{} // which is [] in JSON, and not null
	return append(append(all, p.toxics[chaos.Upstream]...), p.toxics[chaos.Downstream]...)
}

// toxicsOf are the toxics of the proxy of a name.
func (c *collection) toxicsOf(name string) ([]*toxics.ToxicWrapper, error) {
	v, err := c.one(name)
	return v.Toxics, err
}

// toxicOf is one of them.
func (c *collection) toxicOf(name, toxic string) (*toxics.ToxicWrapper, error) {
	defer c.lock()()
	p, err := c.get(name)
	if err != nil {
		return nil, err
	}
	return p.toxic(toxic)
}

func (p *Proxy) toxic(name string) (*toxics.ToxicWrapper, error) {
	for _, t := range p.list() {
		if t.Name == name {
			return t, nil
		}
	}
	return nil, errToxicNotFound
}

// addToxic reads a toxic and puts it in force.
func (c *collection) addToxic(ctx context.Context, name string, body io.Reader) (*toxics.ToxicWrapper, error) {
	defer c.lock()()
	p, err := c.get(name)
	if err != nil {
		return nil, err
	}
	t, err := p.readToxic(body)
	if err != nil {
		return nil, err
	}
	if err := c.apply(ctx, p, t); err != nil {
		return nil, err
	}
	d, _ := t.Direction()
	if p.toxics == nil {
		p.toxics = map[chaos.Direction][]*toxics.ToxicWrapper{}
	}
	p.toxics[d] = append(p.toxics[d], t)
	return t, nil
}

// readToxic reads a new toxic in two goes: which attributes it has is known once its type is.
func (p *Proxy) readToxic(body io.Reader) (*toxics.ToxicWrapper, error) {
	var again bytes.Buffer
	t := &toxics.ToxicWrapper{Stream: "downstream", Toxicity: 1, Toxic: new(toxics.NoopToxic)}
	if err := json.NewDecoder(io.TeeReader(body, &again)).Decode(t); err != nil {
		return nil, errBadRequestBody.because(err.Error())
	}
	if _, ok := t.Direction(); !ok {
		return nil, errInvalidStream
	}
	if t.Name == "" {
		t.Name = fmt.Sprintf("%s_%s", t.Type, t.Stream)
	}
	if t.Toxic = toxics.New(t.Type); t.Toxic == nil {
		return nil, errInvalidToxicType
	}
	if _, err := p.toxic(t.Name); err == nil {
		return nil, errToxicAlreadyExists
	}
	attributes := &struct {
		Attributes any `json:"attributes"`
	}{t.Toxic}
	if err := json.NewDecoder(&again).Decode(attributes); err != nil {
		return nil, errBadRequestBody.because(err.Error())
	}
	return t, nil
}

// updateToxic changes the toxicity and those attributes that are given. What cannot be read changes nothing.
func (c *collection) updateToxic(ctx context.Context, name, toxic string, body io.Reader) (*toxics.ToxicWrapper, error) {
	defer c.lock()()
	p, err := c.get(name)
	if err != nil {
		return nil, err
	}
	t, err := p.toxic(toxic)
	if err != nil {
		return nil, err
	}
	next := *t
	next.Toxic = toxics.New(t.Type)
	was, err := json.Marshal(t.Toxic)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(was, next.Toxic); err != nil {
		return nil, err
	}
	input := &struct {
		Attributes any     `json:"attributes"`
		Toxicity   float32 `json:"toxicity"`
	}{next.Toxic, t.Toxicity}
	if err := json.NewDecoder(body).Decode(input); err != nil {
		return nil, errBadRequestBody.because(err.Error())
	}
	next.Toxicity = input.Toxicity
	if err := c.apply(ctx, p, &next); err != nil {
		return nil, err
	}
	d, _ := t.Direction()
	p.toxics[d][slices.Index(p.toxics[d], t)] = &next
	return &next, nil
}

func (c *collection) removeToxic(ctx context.Context, name, toxic string) error {
	defer c.lock()()
	p, err := c.get(name)
	if err != nil {
		return err
	}
	t, err := p.toxic(toxic)
	if err != nil {
		return err
	}
	return c.detach(ctx, p, t)
}

// apply makes the link do what the toxic says, which may be nothing. A disabled proxy has no link.
func (c *collection) apply(ctx context.Context, p *Proxy, t *toxics.ToxicWrapper) error {
	l, ok := c.links.Link(p.Name)
	if !ok {
		return nil
	}
	e, acts := t.Effect(c.seedOf(p))
	if !acts {
		return l.Clear(ctx, effectID(t))
	}
	return l.Shape(ctx, effectID(t), e)
}

// detach removes a toxic, which may have something to do to its connections first.
func (c *collection) detach(ctx context.Context, p *Proxy, t *toxics.ToxicWrapper) error {
	if l, ok := c.links.Link(p.Name); ok {
		if e, parts := t.Parting(c.seedOf(p)); parts {
			if err := l.Shape(ctx, effectID(t), e); err != nil {
				return err
			}
		}
		if err := l.Clear(ctx, effectID(t)); err != nil {
			return err
		}
	}
	d, _ := t.Direction()
	p.toxics[d] = slices.DeleteFunc(p.toxics[d], func(o *toxics.ToxicWrapper) bool { return o == t })
	return nil
}

// seedOf is what the draws of a proxy's toxics start from.
func (c *collection) seedOf(p *Proxy) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(p.Name)) // a hash never fails
	return c.seed ^ h.Sum64()
}
