package dataset

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
)

// C4StandIn says what stands in for C4's text, and where its lengths are from.
const C4StandIn = "random token ids; lengths are of packed documents drawn from a log-normal of mean 427 tokens " +
	"(C4.EN: 156 billion tokens in 365 million documents, Dodge et al. 2021, arXiv:2104.08758), its log-deviation of 1 assumed"

// c4Documents are document lengths in tokens: the means of exp(Normal(ln 427 -
// 1/2, 1)) over 64 ranges of equal probability, 427 on average. The average is
// published; the shape is an assumption, usual for web documents. A table of
// whole numbers is the same on every machine.
var c4Documents = [64]int{
	22, 35, 44, 52, 59, 66, 73, 79, 85, 91, 97, 104, 110, 116, 122, 129,
	135, 142, 149, 155, 162, 170, 177, 184, 192, 200, 208, 217, 226, 235, 244, 254,
	264, 275, 286, 297, 309, 322, 335, 349, 364, 379, 396, 413, 432, 452, 473, 496,
	521, 549, 578, 611, 648, 689, 735, 789, 851, 925, 1016, 1132, 1287, 1514, 1909, 3396,
}

// C4Length is the length of prompt i of the stand-in: what packing documents of
// C4's lengths to at least least tokens and cutting at most gives. Like the
// prompt itself it depends on the seed and i alone.
func C4Length(seed uint64, i, least, most int) int {
	key := fmt.Sprintf("stepbench/c4-length/1/seed=%d/index=%d", seed, i)
	rng := rand.New(rand.NewChaCha8(sha256.Sum256([]byte(key))))
	n := 0
	for n < least {
		n += c4Documents[rng.IntN(len(c4Documents))]
	}
	return min(n, most)
}
