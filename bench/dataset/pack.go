package dataset

// MaxPacked is the longest prompt that packing to minimum gives: twice the
// minimum, or what leaves room for the output in the model. 0 is no limit.
func MaxPacked(minimum Length, maxModelTokens int) int {
	most := 2 * minimum.InputTokens
	if maxModelTokens > 0 {
		most = max(minimum.InputTokens, min(most, maxModelTokens-minimum.OutputTokens))
	}
	return most
}

// pack joins documents until a prompt has its least length, and cuts it at the
// most; the rest of the last document is not used, so that no two prompts share
// text. The last item may be incomplete until more documents come.
func (l *loader) pack(documents []Row) {
	most := MaxPacked(l.Length, l.MaxModelTokens)
	for i := range documents {
		n := len(l.out.Items)
		if n > 0 && len(l.out.Items[n-1].Prompt) < l.Length.InputTokens {
			n--
		} else if n < l.Requests {
			l.out.Items = append(l.out.Items, Item{OutputTokens: l.Length.OutputTokens})
		} else {
			return
		}
		prompt := append(l.out.Items[n].Prompt, documents[i].Tokens...)
		l.out.Items[n].Prompt = prompt[:min(len(prompt), most)]
	}
}

// complete is how many items have their length: all but, perhaps, the last of
// packed ones.
func (l *loader) complete() int {
	n := len(l.out.Items)
	if l.Source.Kind == KindC4 && n > 0 && len(l.out.Items[n-1].Prompt) < l.Length.InputTokens {
		n--
	}
	return n
}
