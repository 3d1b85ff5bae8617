// Package toxics owns what Toxiproxy's toxics say, and which effect of a link each of them is. It never touches a link or
// a request; package toxiproxy does. The names of its types, and their fields', are Toxiproxy's, because the messages of
// encoding/json name them and clients may compare those.
package toxics
