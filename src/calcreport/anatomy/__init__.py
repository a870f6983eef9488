"""Where things are in the patient: body and skin, fascia, skeleton, foreign material."""
