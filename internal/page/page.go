// Package page owns what all pages of shakedown share: the style, the drawing of charts, and the policy that lets a page use nothing
// but what is in it. What a page shows is the business of the package that writes it.
package page

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"strings"
)

// uPlot is vendored under its own licence, which lies beside it.
//
//go:embed uplot/uPlot.iife.min.js
var uplot string

//go:embed uplot/uPlot.min.css
var uplotStyle string

//go:embed page.css
var style string

//go:embed draw.js
var draw string

//go:embed frame.js
var frame string

// Style is the style sheet of every page.
func Style() string { return trim(uplotStyle) + trim(style) }

// Script is what every page's own script may use: uPlot; shakedownDraw(panel, names, grid), which draws one chart;
// shakedownFollow(charts), which zooms them together; and shakedownFrame(draw, shown, grid), which is what is around them.
func Script() string { return trim(uplot) + trim(draw) + trim(frame) }

func trim(s string) string { return strings.TrimSpace(s) + "\n" }

// Policy is the content security policy of a page that has this style and this script, and otherwise nothing but data: images
// (Content Security Policy Level 3).
func Policy(style, script string) string {
	return "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src " + hash(style) + "; script-src " + hash(script)
}

// hash is the source expression that allows exactly this script or style (ibid., 2.3.1).
func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
