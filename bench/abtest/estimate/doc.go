// Package estimate turns paired bursts of two arms into an effect, an interval
// and a verdict. A is the baseline, B the candidate; values are natural
// logarithms of durations, so an effect is ln(B/A) and positive where B is
// slower. Functions are pure.
//
// The units, from small to large: a burst gives one value; a Quad is four
// bursts in the order ABBA or BAAB, whose difference cancels a linear drift; a
// launch is one fresh pair of processes with its quads. The launch is the
// replicate: processes of one build differ by offsets that no number of quads
// averages out, so intervals come from the spread between launches.
package estimate
