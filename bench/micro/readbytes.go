package micro

import "stepbench/engine"

// ReadBytes is the least that a step reads: the weights once, and the keys and
// values of cached tokens once, in elements of dtype. 0 where the shape is not
// known or dtype has no fixed size.
func ReadBytes(s *engine.ModelShape, dtype string, cachedTokens int) float64 {
	element, ok := engine.ElementBytes(dtype)
	if s == nil || !ok {
		return 0
	}
	return weightBytes(s, element) + cost{cached: int64(cachedTokens)}.kvBytes(s, element)
}
