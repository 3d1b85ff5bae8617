package chaos

import (
	"embed"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"reflect"
	"strings"
	"sync"
)

// source is this package's own: what a fault and its fields mean is said once, in their comments, and shown to users from
// there.
//
//go:embed *.go
var source embed.FS

// Help is what the comments say of a fault: of the whole, and of its fields, by their names in JSON. A field without a
// comment is left out.
func Help(f Fault) (about string, fields map[string]string) {
	typ := reflect.TypeOf(f).Elem()
	fields = map[string]string{}
	t, ok := comments()[typ.Name()]
	if !ok {
		return "", fields
	}
	for _, sf := range reflect.VisibleFields(typ) {
		key, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		if text := t.fields[sf.Name]; key != "" && text != "" {
			fields[key] = text
		}
	}
	return t.about, fields
}

// Proof is what the comments say of how a fault proves that it has landed.
func Proof(f Fault) string { return comments()[reflect.TypeOf(f).Elem().Name()].proof }

// A comment is what is said of a type.
type comment struct {
	about  string
	proof  string            // above its method Inject
	fields map[string]string // by their names in Go
}

// comments are those of the package's types. The source compiled, so that it can be parsed.
var comments = sync.OnceValue(func() map[string]comment {
	all := map[string]comment{}
	names, _ := fs.Glob(source, "*.go")
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, _ := source.ReadFile(name)
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			continue
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				if d.Tok == token.TYPE {
					readTypes(d, all)
				}
			case *ast.FuncDecl:
				readProof(d, all)
			}
		}
	}
	return all
})

func readTypes(decl *ast.GenDecl, into map[string]comment) {
	for _, s := range decl.Specs {
		spec := s.(*ast.TypeSpec)
		about := spec.Doc
		if about == nil {
			about = decl.Doc
		}
		c := comment{about: plain(about), proof: into[spec.Name.Name].proof, fields: map[string]string{}}
		if structure, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range structure.Fields.List {
				for _, name := range f.Names {
					c.fields[name.Name] = strings.Join(strings.Fields(plain(f.Doc)+" "+plain(f.Comment)), " ")
				}
			}
		}
		into[spec.Name.Name] = c
	}
}

// readProof takes what stands above a type's method Inject.
func readProof(d *ast.FuncDecl, into map[string]comment) {
	if d.Name.Name != "Inject" || d.Recv == nil {
		return
	}
	star, ok := d.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return
	}
	if name, ok := star.X.(*ast.Ident); ok {
		c := into[name.Name]
		c.proof = strings.Join(strings.Fields(plain(d.Doc)), " ")
		into[name.Name] = c
	}
}

// plain is the text of a comment, in lines of 100 characters.
func plain(g *ast.CommentGroup) string {
	if g == nil {
		return ""
	}
	p := new(doc.Package).Printer()
	p.TextWidth = 100
	return strings.TrimSpace(string(p.Text(new(doc.Package).Parser().Parse(g.Text()))))
}
