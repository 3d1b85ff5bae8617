package targettest_test
import ("testing"; "shakedown/targets/catalog"; "shakedown/targets/targettest")
func TestScratch(t *testing.T) {
	for _, p := range catalog.Patterns() { t.Run(p.Name, func(t *testing.T) { targettest.Run(t, p, targettest.LocalEngines(t)) }) }
}
